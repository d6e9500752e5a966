//! The one error type.

use std::borrow::Cow;

use crate::text::{printable, printable_name};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the kinds a caller acts on differently.
///
/// Every message states the rule first and then the values received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's values contradict a rule or each other: change the call.
    #[error("{}; received {}", printable(rule), printable(received))]
    Invalid {
        /// The argument at fault, by its public name (`strides`, `input`, …).
        argument: Cow<'static, str>,
        /// The rule that was broken.
        rule: Cow<'static, str>,
        /// The values received.
        received: String,
    },
    /// Valid, but not implemented here.
    #[error("{} is not supported: {}", printable_name(what), printable(reason))]
    Unsupported {
        /// What was asked for.
        what: String,
        /// Where support stops, and the way round where there is one.
        reason: Cow<'static, str>,
    },
    /// Valid, but this device cannot; or more than the [`Budget`](crate::formats::Budget) for reading files allows.
    #[error("{resource}: {needed} needed, {} {limit}", crate::budget::limited_by(resource))]
    Limit {
        /// The resource that ran out, with its unit.
        resource: Cow<'static, str>,
        /// How much was needed.
        needed: u64,
        /// How much there is.
        limit: u64,
    },
    /// The driver or wgpu refused.
    #[error("{}: {source}", printable(context))]
    Gpu {
        /// What was being done; the plan's name where there is one.
        context: Cow<'static, str>,
        /// The refusal.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file or a configuration text does not hold what it should.
    #[error("{}: {}", printable_name(place), printable(problem))]
    Format {
        /// The file, and the place in it.
        place: String,
        /// What is wrong there.
        problem: String,
    },
}

impl Error {
    pub(crate) fn invalid(
        argument: &'static str,
        rule: impl Into<Cow<'static, str>>,
        received: impl Into<String>,
    ) -> Self {
        Self::Invalid { argument: argument.into(), rule: rule.into(), received: received.into() }
    }

    pub(crate) fn unsupported(what: impl Into<String>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Unsupported { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn limit(resource: impl Into<Cow<'static, str>>, needed: u64, limit: u64) -> Self {
        Self::Limit { resource: resource.into(), needed, limit }
    }

    pub(crate) fn gpu(
        context: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Gpu { context: context.into(), source: source.into() }
    }

    #[cfg_attr(
        all(
            target_arch = "wasm32",
            not(any(
                feature = "keras",
                feature = "image",
                feature = "npy",
                feature = "onnx",
                feature = "safetensors"
            ))
        ),
        expect(dead_code, reason = "in a browser files are read behind features only")
    )]
    pub(crate) fn format(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Format { place: place.into(), problem: problem.into() }
    }
}
