#!/bin/bash
# lab.sh DIR GPU COMMAND...: runs the lab, or any program, on a pretended GPU within what setup.sh has made in DIR.
#   amd:FAMILY        vega10 navi10 navi14 navi21 navi23 navi31 navi33 phoenix gfx1150 gfx1151 gfx1200 gfx1201; compiles only
#   amd-device:NAME   vega10 navi10 navi21 navi31 gfx1150 renoir vangogh …: a whole device; wgpu opens it
#   intel:PLATFORM    skl kbl icl tgl adl dg2 mtl lnl bmg …; the same
#   nvidia:CHIPSET    162 (Turing) 172 (Ampere): Mesa's NVK, not NVIDIA's own; the same
#   adreno:ID         618 660 730 740 750; the same
# COMMAND is one of the lab's (device, plans, results, shader), or `run PROGRAM ARGS…` for a program within DIR. Files are looked for
# within DIR: FILES=FOLDER is seen as /files there, ../shapes as /shapes.
set -e
[ $# -ge 3 ] || { sed -n '2,9s/^# \?//p' "$0"; exit 2; }
dir=$(realpath "$1") gpu=$2 here=$(dirname "$(realpath "$0")")
# What a program submits to a pretended device counts as done.
layer="VK_LAYER_PATH=/lab/done VK_INSTANCE_LAYERS=VK_LAYER_LAB_done"
shift 2
icd=/usr/share/vulkan/icd.d
case $gpu in
    amd:*) vars="AMD_FORCE_FAMILY=${gpu#*:} RADV_FORCE_FAMILY=${gpu#*:} VK_DRIVER_FILES=$icd/radeon_icd.json" ;;
    amd-device:*) vars="$layer AMDGPU_GPU_ID=${gpu#*:} LD_PRELOAD=/lab/shim/libamdgpu_noop_drm_shim.so VK_DRIVER_FILES=$icd/radeon_icd.json" ;;
    intel:*) vars="$layer INTEL_STUB_GPU_PLATFORM=${gpu#*:} LD_PRELOAD=/lab/shim/libintel_noop_drm_shim.so VK_DRIVER_FILES=$icd/intel_icd.json" ;;
    nvidia:*) vars="$layer NOUVEAU_CHIPSET=${gpu#*:} LD_PRELOAD=/lab/shim/libnouveau_noop_drm_shim.so VK_DRIVER_FILES=$icd/nouveau_icd.json" ;;
    adreno:*) vars="$layer FD_GPU_ID=${gpu#*:} LD_PRELOAD=/lab/shim/libfreedreno_noop_drm_shim.so VK_DRIVER_FILES=/lab/build/src/freedreno/vulkan/freedreno_devenv_icd.x86_64.json" ;;
    *) sed -n '2,9s/^# \?//p' "$0"; exit 2 ;;
esac
target=${CARGO_TARGET_DIR:-$here/../../target/lab}
[ "$1" = run ] || cp "$target/release/lab" "$dir/lab/lab"
mkdir -p "$dir/shapes"
cp "$here"/../shapes/*.txt "$dir/shapes/"
if [ -n "$FILES" ]; then
    mkdir -p "$dir/files"
    cp -r "$FILES"/. "$dir/files/"
fi
program=/lab/lab
[ "$1" = run ] && program= && shift
exec chroot "$dir" env HOME=/tmp XDG_RUNTIME_DIR=/tmp MESA_SHADER_CACHE_DISABLE=1 $vars $program "$@"
