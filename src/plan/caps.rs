//! What a device can do, as plain numbers: the limits and features that a plan may count on.
//!
//! A plan that needs more workgroup memory than a device has must not be on the menu for it. So the device fills in a
//! [`Caps`] once, and the menu reads that instead of the device; a test fills in whatever device it wants to plan for.
//! [`Caps::FLOOR`] is what every WebGPU device has.

use super::Texel;
use crate::{Error, Result};

/// Limits and features of a device that plans may use, as plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Whether shaders may store f16.
    pub f16: bool,
    /// Whether shaders have 64-bit integers.
    pub u64: bool,
    /// Whether the adapter runs on the CPU, where barriers and gathers are dear and occupancy means little.
    pub software: bool,
    /// Cores that it is taken to have, each as wide as 128 multiply-adds: no interface tells how many there are.
    pub cores: u32,
    /// The size of every subgroup, where shaders may use them and the adapter has one size only.
    pub subgroup: Option<u32>,
    /// The edge of the square cooperative matrices of f16 that shaders may multiply into sums of f32, where the device was
    /// opened with them and the adapter has some.
    pub cooperative_f16: Option<u32>,
    /// Workgroups along one dimension of a dispatch.
    pub max_workgroups: u32,
    /// Invocations of one workgroup.
    pub max_invocations: u32,
    /// Bytes of workgroup memory.
    pub workgroup_storage: u32,
    /// Bytes of one storage binding.
    pub max_binding: u64,
    /// Bytes of one buffer.
    pub max_buffer: u64,
    /// Alignment of a storage binding's offset, in bytes.
    pub binding_alignment: u32,
    /// Rows of a texture of [`Texel::ROW`] columns, where loads from one are so much cheaper than from a buffer that copies
    /// of inputs into textures pay, as on lavapipe and SwiftShader; 0 elsewhere.
    pub texel_rows: u32,
    /// Whether such a texture is sampled, and not read as storage; so it is on SwiftShader, whose multiplications and additions
    /// are never fused.
    pub samples_texels: bool,
}

impl Caps {
    /// What every WebGPU device has.
    pub const FLOOR: Self = Self {
        f16: false,
        u64: false,
        software: false,
        cores: 32,
        subgroup: None,
        cooperative_f16: None,
        max_workgroups: 65_535,
        max_invocations: 256,
        workgroup_storage: 16 << 10,
        max_binding: 128 << 20,
        max_buffer: 256 << 20,
        binding_alignment: 256,
        texel_rows: 0,
        samples_texels: false,
    };

    /// The type of the texture as which `elements` of a tensor are read; `None` where they are read from a buffer.
    pub(crate) fn texels(&self, elements: u64, texel: Texel) -> Option<&'static str> {
        let fits =
            elements > 0 && elements.div_ceil(texel.lanes.into()) <= u64::from(Texel::ROW) * u64::from(self.texel_rows);
        texel.read_as().filter(|_| fits)
    }

    /// Whether a shader may spell out `products` multiply-adds on vectors and `loads` of vectors in a row.
    ///
    /// Compiling takes more than linear time. Measured: lavapipe, whose subgroups have 8 lanes, compiles 250 in 0.3 s;
    /// SwiftShader, whose have 4, compiles 40 in 0.05 s, 110 in 1.5 s, and takes gigabytes beyond. A load counts as four.
    pub(crate) const fn spells_out(&self, products: u64, loads: u64) -> bool {
        let most = if self.software && !matches!(self.subgroup, Some(8)) { 48 } else { 256 };
        products + 4 * loads <= most
    }

    /// The same where loads are of texels: on SwiftShader such a load calls a function, where one from a buffer branches for
    /// every lane of each of four values.
    pub(crate) const fn spells_out_texels(&self, products: u64, loads: u64) -> bool {
        if self.samples_texels { products + 4 * loads <= 256 } else { self.spells_out(products, loads) }
    }

    /// Workgroup counts that launch at least `total` workgroups, folded under the limit of a dimension.
    ///
    /// Shaders recover the number with `workgroup_index` of `lib/index.wgsl` and skip what exceeds the total.
    ///
    /// # Errors
    /// [`Error::Limit`] where three dimensions are not enough.
    pub(crate) fn fold(&self, total: u64) -> Result<[u32; 3]> {
        let most = u64::from(self.max_workgroups);
        if total > most.pow(3) || total > u64::from(u32::MAX) {
            return Err(Error::limit("workgroups of one dispatch", total, most.saturating_pow(3).min(u32::MAX.into())));
        }
        let z = total.div_ceil(most * most).max(1);
        let y = total.div_ceil(z).div_ceil(most).max(1);
        let x = total.div_ceil(z).div_ceil(y);
        Ok([x as u32, y as u32, z as u32])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_workgroups_cover_the_total() {
        for max_workgroups in [1, 2, 7, 65_535] {
            let caps = Caps { max_workgroups, ..Caps::FLOOR };
            for total in [0u64, 1, 2, 7, 8, 49, 50, 343, 65_535, 65_536, 70_001, 1 << 24, (1 << 32) - 1] {
                match caps.fold(total) {
                    Ok(counts) => {
                        assert!(counts.iter().all(|&count| count <= max_workgroups), "{total} in {counts:?}");
                        let launched: u64 = counts.iter().map(|&count| u64::from(count)).product();
                        assert!(launched >= total, "{total} in {counts:?}");
                    }
                    Err(error) => assert!(total > u64::from(max_workgroups).pow(3), "{total}: {error}"),
                }
            }
        }
    }
}
