"""Pictures, videos and pages of faces: nothing here needs a window or a GPU.

Rank: above morphable, below data, models, losses and metrics.  `previews.render` draws
a mesh, `painter.render` faces given by coefficients; `pictures` makes depth, normals
and contact sheets visible; `videos.write_video`, `html_viewer.write_page` and
`face_gallery.write` make files.  Picture files are written by `core.pictures`.
"""
