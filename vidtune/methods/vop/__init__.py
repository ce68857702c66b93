"""VoP (Huang et al., CVPR 2023, arXiv:2211.12764): prompts in every block of both towers.

Everything pre-trained is frozen; each block sees learned tokens beside its own.
Checked against the basic VoP in github.com/modelscope/modelscope
(modelscope/models/cv/vop_retrieval) at 22242ee; github.com/bighuang624/VoP holds no code.
VoP^{F+C} was never released: `frame_prompts` "context" and `joint` are a reading of it. 4 prompts
and 4 joint blocks were chosen because they give TempMe's 2,368 tokens and, without what makes the
prompts, nearly its 246.2 GFLOPs (Table 1 there); the recurrent network's sizes were chosen to give 14.3 M
tuned parameters, a figure reported of it whose source is not at hand.
"""
