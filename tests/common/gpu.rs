//! The one gate between the tests and a GPU.

use std::sync::OnceLock;

/// The device of this test process, or `None` where there is no adapter: the test prints why and returns. A software
/// adapter counts as an adapter.
///
/// # Panics
/// Without an adapter when the environment says `REQUIRE_GPU=1`, so that a run meant to test kernels cannot pass by
/// skipping them.
pub fn gpu() -> Option<wgpu_conv::Gpu> {
    static GPU: OnceLock<Option<wgpu_conv::Gpu>> = OnceLock::new();
    GPU.get_or_init(|| match wgpu_conv::Gpu::new() {
        Ok(gpu) => Some(gpu),
        Err(why) => {
            eprintln!("tests that need a GPU are skipped: {why}");
            None
        }
    })
    .clone()
    .or_else(|| {
        let required = std::env::var_os("REQUIRE_GPU").is_some_and(|value| value == "1");
        assert!(!required, "REQUIRE_GPU=1, but no GPU could be opened");
        None
    })
}
