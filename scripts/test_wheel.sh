#!/usr/bin/env bash
# What somebody has who installs this package: build sdist and wheel, install the wheel into an empty environment outside the clone, and segment the MNI152
# template in an empty folder, by synthfm and by monai.bundle, to the same bytes. PYTHON chooses the interpreter; TMPDIR needs some 8 GB.
set -euo pipefail
clone="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

"${PYTHON:-python3}" -m venv "$folder/tools"
"$folder/tools/bin/python" -m pip install --quiet --disable-pip-version-check build twine nilearn
"$folder/tools/bin/python" -m build --outdir "$folder/dist" "$clone" &> "$folder/build.log" || { cat "$folder/build.log"; exit 1; }
"$folder/tools/bin/twine" check --strict "$folder"/dist/*

"${PYTHON:-python3}" -m venv "$folder/env"
install=("$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check)
# as scripts/setup.sh does, so that sam2 is built with the torch that it then runs with
"${install[@]}" torch torchvision "setuptools>=77" wheel
SAM2_BUILD_CUDA=0 "${install[@]}" --no-build-isolation "sam2>=1.1"
"${install[@]}" "$folder"/dist/*.whl
"$folder/env/bin/python" -m pip check

mkdir "$folder/empty"
cd "$folder/empty"
data="$("$folder/tools/bin/python" -c 'import importlib.util as u, pathlib as p; print(p.Path(u.find_spec("nilearn").origin).parent / "datasets" / "data")')"
cp "$data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz" t1.nii.gz
"$folder/env/bin/synthfm" segment t1.nii.gz --click 98 116 95 --axis axial --direction none --modality mr --output by_synthfm
configs="$("$folder/env/bin/python" -c 'import monai_synthfm; print(monai_synthfm.bundle_path("synthfm_sam") / "configs")')"
"$folder/env/bin/python" -m monai.bundle run --config_file "$configs/inference.yaml" --image t1.nii.gz --points "[[[98, 116, 95]]]" \
  --point_labels "[[1]]" --axis axial --direction none --modality mr --output_dir by_monai
cmp by_synthfm/t1_segmentation.nii.gz by_monai/t1_segmentation.nii.gz
"$folder/env/bin/python" - << 'PYTHON'
import nibabel as nib

found = int((nib.load("by_synthfm/t1_segmentation.nii.gz").get_fdata() > 0).sum())
assert found > 1000, f"the brain on one slice has {found} voxels, expected thousands"
print(f"{found} voxels segmented, the same bytes by synthfm and by monai.bundle")
PYTHON
