//! What the integration tests share: the reference, the numbers Keras gave, and how close is close enough.
//!
//! A test crate says `pub mod common;` — public, so that a part which this crate does not use is no dead code.
//! The gate to the GPU lies apart, because the tests of the reference need no GPU:
//! `#[path = "common/gpu.rs"] pub mod gpu;`.

pub mod fixtures;
pub mod keras;
pub mod tolerance;

pub use wgpu_conv::reference;

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `check` on every row and reports all that fail, not only the first. A row that panics has failed; a table
/// without rows proves nothing and fails as well.
///
/// # Panics
/// When a row fails or there is none.
#[track_caller]
pub fn test_each<Row, Name: Display>(
    rows: impl IntoIterator<Item = Row>,
    name: impl Fn(&Row) -> Name,
    check: impl Fn(&Row) -> Result<(), String>,
) {
    let mut count = 0_usize;
    let mut failures = Vec::new();
    for row in rows {
        count += 1;
        let outcome = catch_unwind(AssertUnwindSafe(|| check(&row))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(format!("panicked: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message")))
        });
        if let Err(message) = outcome {
            failures.push(format!("  {}: {message}", name(&row)));
        }
    }
    assert!(count > 0, "the table has no rows");
    assert!(failures.is_empty(), "{} of {count} rows failed:\n{}", failures.len(), failures.join("\n"));
}
