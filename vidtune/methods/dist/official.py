"""DiST's own checkpoints: github.com/alibaba-mmai-research/DiST at 4b3a09b (under `model_state`).

Older files call the network `ladder_net` and some of its parts otherwise; the
repository's process_dist_cpkt.py holds the table.
"""

from vidtune.official.arguments import Arguments
from vidtune.spec import Model


def model(method: str, config: Arguments) -> Model:
    """Frames are all that the model is given; its trunk sees every alpha-th."""
    frames, alpha = config.integer("total_frames"), config.integer("sparse_sample_alpha")
    sparse = config.integer("num_sparse_frames", frames // alpha)
    if sparse * alpha != frames:
        raise config.error(
            "total_frames",
            f"expected num_sparse_frames x sparse_sample_alpha, {sparse * alpha}; found {frames}",
        )
    options = {
        "alpha": alpha,
        "width": config.integer("integration_dim"),
        "temporal_width": config.integer("temporal_dim"),
        "layers": config.get("selected_layers", list),
        "pooling_layers": config.integer("ada_pooling_layers"),
        "stem_frames": config.integer("t_patch_size"),
        "kernel": config.integer("temporal_kernel_size"),
        "temporal_ratio": config.get("temporal_conv_mlp_ratio", float),
        "mlp_ratio": config.get("integration_mlp_ratio", float),
        "mixing_ratio": config.get("integration_temporal_mlp_ratio", float),
    }
    return config.model("dist", options, frames=frames)


NET = r"backbone\.base_encoder\.(?:dist_net|ladder_net)\."
REDUCE = NET + r"(?:input_linears|input_map_feat_nets)\.(\d+)\."
TEMPORAL = NET + r"temporal_nets\.(\d+)\."
TO_TEMPORAL = NET + r"(?:integration2temporal_nets|s2t_fuse_nets)\.(\d+)\.linear_fuse\."
TO_INTEGRATION = NET + r"(?:temporal2integration_nets|t2s_fuse_nets)\.(\d+)\."
INTEGRATION = NET + r"(?:integration_nets|spatial_nets)\.(\d+)\."
POOLING = NET + r"(?:adapooling_nets|final_temporal_nets)\.(\d+)\."

RULES = {
    "dist": {
        NET + r"temporal_stem\.(.*)": r"dist.stem.\1",
        REDUCE + r"(.*)": r"dist.layers.\1.reduce.\2",
        TEMPORAL + r"temporal_net\.c_fc1\.(.*)": r"dist.layers.\1.temporal.over_time.\2",
        TEMPORAL + r"temporal_net\.c_fc2\.(.*)": r"dist.layers.\1.temporal.over_space.\2",
        TEMPORAL + r"ln\.(.*)": r"dist.layers.\1.temporal.ln.\2",
        TO_TEMPORAL + r"(.*)": r"dist.layers.\1.to_temporal.\2",
        TO_INTEGRATION + r"linear_fuse\.(.*)": r"dist.layers.\1.to_integration.\2",
        TO_INTEGRATION + "cls_token": r"dist.layers.\1.cls",
        INTEGRATION + r"ffn\.c_fc\.(.*)": r"dist.layers.\1.integrate.mlp.0.\2",
        INTEGRATION + r"ffn\.c_proj\.(.*)": r"dist.layers.\1.integrate.mlp.2.\2",
        INTEGRATION + r"temporal_ffn\.c_fc1\.(.*)": r"dist.layers.\1.integrate.mix.0.\2",
        INTEGRATION + r"temporal_ffn\.c_fc2\.(.*)": r"dist.layers.\1.integrate.mix.1.\2",
        INTEGRATION + r"temporal_ffn\.c_proj\.(.*)": r"dist.layers.\1.integrate.mix.3.\2",
        INTEGRATION + r"ln_temporal\.(.*)": r"dist.layers.\1.integrate.ln_mix.\2",
        INTEGRATION + r"ln\.(.*)": r"dist.layers.\1.integrate.ln.\2",
        POOLING + "positional_embedding": r"dist.pools.\1.position",
        POOLING + r"spatial_transformer\.(.*)": r"dist.pools.\1.frame.\2",
        POOLING + r"output_map_spatial_cls_token\.c_fc\.(.*)": r"dist.pools.\1.frame.mlp.0.\2",
        POOLING + r"output_map_spatial_cls_token\.c_proj\.(.*)": r"dist.pools.\1.frame.mlp.2.\2",
        POOLING + r"ln_out_spat_cls_token\.(.*)": r"dist.pools.\1.frame.ln_2.\2",
        POOLING + r"temporal_transformer\.(.*)": r"dist.pools.\1.video.\2",
        POOLING + r"output_map_cls_token\.c_fc\.(.*)": r"dist.pools.\1.video.mlp.0.\2",
        POOLING + r"output_map_cls_token\.c_proj\.(.*)": r"dist.pools.\1.video.mlp.2.\2",
        POOLING + r"ln_out_temp_cls_token\.(.*)": r"dist.pools.\1.video.ln_2.\2",
        NET + "aggregated_cls_token": "dist.video_query",
        NET + "aggregated_spatial_cls_token": "dist.frame_query",
        NET + r"proj_spatial_cls_token\.(.*)": r"dist.reduce_cls.\1",
        NET + r"(ln_post\..*|proj)": r"dist.\1",
        r"backbone\.base_encoder\.(.*)": r"clip.\1",
    }
}
