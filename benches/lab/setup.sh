#!/bin/bash
# setup.sh DIR [adreno]: a Debian 13 in DIR with Mesa's Vulkan drivers and the small libraries of Mesa's source that pretend a
# kernel driver, so that they open without a GPU. Needs root, debootstrap and Debian's archive; some 2 GB and ten minutes.
# With `adreno` Qualcomm's driver is built as well, which Debian does not package for PCs: ten minutes more on two cores.
set -e
dir=$(realpath -m "${1:?setup.sh DIR [adreno]}")
# The archive that this machine's apt uses, unless DEBIAN names another.
archive=${DEBIAN:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | sed -n 's/^deb \(\[[^]]*\] \)\?\(http[^ ]*\) .*/\2/p; s/^URIs: *\(http[^ ]*\).*/\1/p' | grep -v security | head -1)}
jobs=${JOBS:-2}

[ -x "$dir/usr/bin/apt-get" ] || debootstrap --variant=minbase --include=ca-certificates,libvulkan1,mesa-vulkan-drivers trixie "$dir" "$archive"
grep -q '^deb-src' "$dir/etc/apt/sources.list" || echo "deb-src $archive trixie main" >> "$dir/etc/apt/sources.list"
inside() { chroot "$dir" sh -ec "$1"; }
inside "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; apt-get install -qqy --no-install-recommends dpkg-dev gcc g++ libc6-dev \
    meson ninja-build bison flex python3-mako python3-yaml python3-packaging libdrm-dev libvulkan-dev pkgconf libexpat1-dev zlib1g-dev \
    libzstd-dev libelf-dev glslang-tools spirv-tools > /dev/null"
inside "mkdir -p /lab/src; cd /lab/src; [ -d mesa-*/ ] || { apt-get source --download-only -qq mesa; tar xf mesa_*.orig.tar.xz; }"
vulkan= gallium=nouveau,softpipe,r600
[ "$2" = adreno ] && vulkan=freedreno gallium=$gallium,freedreno
inside "cd /lab/src/mesa-*/; meson setup /lab/build --reconfigure -Dtools=drm-shim,intel,nouveau -Dgallium-drivers=$gallium -Dvulkan-drivers=$vulkan \
    -Dllvm=disabled -Dplatforms= -Degl=disabled -Dglx=disabled -Dgbm=disabled -Dbuildtype=release -Dvideo-codecs= -Dvalgrind=disabled \
    -Dlibunwind=disabled -Dshader-cache=disabled > /lab/meson.log"
targets='src/amd/drm-shim/libamdgpu_noop_drm_shim.so src/intel/tools/libintel_noop_drm_shim.so src/nouveau/drm-shim/libnouveau_noop_drm_shim.so'
[ "$2" = adreno ] && targets="$targets src/freedreno/drm-shim/libfreedreno_noop_drm_shim.so src/freedreno/vulkan/libvulkan_freedreno.so src/freedreno/vulkan/freedreno_devenv_icd.x86_64.json"
inside "cd /lab/build; ninja -j$jobs $targets > /lab/ninja.log; mkdir -p /lab/shim; cp \$(echo $targets | tr ' ' '\n' | grep shim) /lab/shim/"
mkdir -p "$dir/lab/done"
cp "$(dirname "$(realpath "$0")")"/done/done.* "$dir/lab/done/"
inside "cc -shared -fPIC -O1 /lab/done/done.c -o /lab/done/libdone.so"
echo "ready: lab.sh $dir amd:navi21 device"
