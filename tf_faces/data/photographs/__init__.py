"""Photographs of faces that are made, with exact truth, for all systems.

    from tf_faces.data import photographs

    settings = photographs.Settings(model="ict", size=128)
    one = photographs.draw(settings, seed=0, index=7)       # one.picture
    photographs.fields(one, ("landmarks", "pose", "depth"))
    endless = photographs.pipeline(settings, ("picture", "landmarks"))
    batches = photographs.Batches(endless, 32)

Photograph i of a seed is the same wherever and by however many processes it is drawn.
Skins, hair and surroundings come from the face data (`docs/data.md`), if it is there;
without it the built-in face (`model="builtin"`) stands before places made by code.
"""

from tf_faces.data.photographs.charts import Chart, lay_out
from tf_faces.data.photographs.factory import Photograph, draw
from tf_faces.data.photographs.settings import Settings
from tf_faces.data.photographs.streams import Batches, pipeline, stream
from tf_faces.data.photographs.truth import FIELDS, fields

__all__ = [
    "FIELDS",
    "Batches",
    "Chart",
    "Photograph",
    "Settings",
    "draw",
    "fields",
    "lay_out",
    "pipeline",
    "stream",
]
