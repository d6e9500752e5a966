//! Cooperative matrices: which an adapter has, and the leave that wgpu wants for them.
//!
//! A cooperative matrix is a small matrix, 8×8 or 16×16 here, that the invocations of a subgroup hold together and
//! multiply in one instruction, by the matrix units (tensor cores) of the GPU. Such an instruction does many times the
//! multiply-adds of an ordinary one. This module asks the adapter which sizes it has; `kernels/conv_cooperative.rs` has
//! the convolution that uses them.
//!
//! # Safety
//! wgpu calls them experimental, and asks whoever uses them to accept that its own code for them may have errors that
//! break memory safety behind safe calls. So they are used only where a program was built with the feature
//! `cooperative-matrix`, which nothing else enables and whose description says this. With that leave one experimental
//! feature is asked for, and one shader uses it, within what Vulkan demands: workgroups are whole subgroups, which
//! reach each operation together; matrices and their rows lie at multiples of 16 bytes, within workgroup memory; sizes
//! and types are ones that the adapter lists. Anybody can also write shaders for the open device: that is safe as far
//! as wgpu is.

/// The edge of the largest square matrices of f16 whose products are summed in f32, where the crate is built for them.
pub(super) fn f16_edge(adapter: &wgpu::Adapter) -> Option<u32> {
    use wgpu::CooperativeScalarType::{F16, F32};
    let needed = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16;
    if !cfg!(feature = "cooperative-matrix") || !adapter.features().contains(needed) {
        return None;
    }
    let fits = |of: &wgpu::CooperativeMatrixProperties| {
        (of.ab_type, of.cr_type) == (F16, F32) && of.m_size == of.n_size && of.n_size == of.k_size
    };
    adapter.cooperative_matrix_properties().iter().filter(|of| fits(of)).map(|of| of.m_size).max()
}

/// What a device is opened with.
#[cfg(feature = "cooperative-matrix")]
#[expect(unsafe_code, reason = "the program was built with leave for it: see the module's documentation")]
pub(super) const fn leave() -> wgpu::ExperimentalFeatures {
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

/// What a device is opened with.
#[cfg(not(feature = "cooperative-matrix"))]
pub(super) const fn leave() -> wgpu::ExperimentalFeatures {
    wgpu::ExperimentalFeatures::disabled()
}
