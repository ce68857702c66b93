"""EVL (Lin et al., ECCV 2022, arXiv:2208.03550).

The layers of a frozen image model feed a Transformer decoder whose one learned query gathers the
video; local temporal modules let neighbouring frames exchange information before that.
Checked against github.com/OpenGVLab/efficient-video-recognition at b282e8b.
Modifications: the frozen trunk runs in the precision of the run, not always in float16.
"""
