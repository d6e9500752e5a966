//! The one error type.

use std::borrow::Cow;
use std::fmt;

use crate::text::{printable, printable_name};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the kinds a caller acts on differently.
///
/// Every message states the rule first and then the values received. What it quotes, names in files above all, may hold any
/// character: each message is one line of [printable](crate::printable_name) text, but for lists of what is not supported, which
/// have a line for each, and for what drivers say. `Debug` writes the message too, so that a `main` that returns a [`Result`]
/// tells people what went wrong.
///
/// ```
/// let error = wgpu_conv::Shape::from([usize::MAX, 2]).elements().unwrap_err();
/// assert_eq!(format!("{error:?}"), error.to_string());
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller's values contradict a rule or each other: change the call.
    #[error("{}; received {}", printable_name(rule), printable_name(received))]
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
    #[error("{}: {needed} needed, {} {limit}", printable_name(resource), limited_by(resource))]
    Limit {
        /// The resource that ran out, with its unit.
        resource: Cow<'static, str>,
        /// How much was needed.
        needed: u64,
        /// How much there is.
        limit: u64,
    },
    /// The driver or wgpu refused.
    #[error("{}: {}", printable_name(context), printable(&source.to_string()))]
    Gpu {
        /// What was being done; the plan's name where there is one.
        context: Cow<'static, str>,
        /// The refusal.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file or a configuration text does not hold what it should.
    #[error("{}: {}", printable_name(place), printable_name(problem))]
    Format {
        /// The file, and the place in it.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// One of the others, in a layer of a model: [`kind`](Self::kind) is that one, [`layer`](Self::layer) the place.
    #[error("layer {}: {error}", printable_name(path))]
    InLayer {
        /// The layer's name, behind those of the models it stands in: `outer/inner/layer`.
        path: String,
        /// What went wrong there; never another `InLayer`.
        error: Box<Error>,
    },
}

/// The words in the resource of an [`Error::Limit`] that tell a budget from a device.
pub(crate) const FOR_READING: &str = "(budget for reading)";

/// Who allows no more of `resource`.
fn limited_by(resource: &str) -> &'static str {
    if resource.ends_with(FOR_READING) { "`formats::Budget` allows" } else { "this device allows" }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// What went wrong, without the layer that it happened in: what to match on.
    ///
    /// ```no_run
    /// use wgpu_conv::{Error, Gpu, layers::Conv2D, model::Sequential};
    ///
    /// # fn main() -> wgpu_conv::Result<()> {
    /// let gpu = Gpu::new()?;
    /// let model = Sequential::new(&gpu).with_input([None, Some(32), Some(32), Some(3)])?;
    /// let error = model.with(Conv2D::new(8, [33, 1]).name("stem")).expect_err("a kernel above the image");
    /// assert!(matches!(error.kind(), Error::Invalid { .. }));
    /// assert_eq!(error.layer(), Some("stem"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn kind(&self) -> &Self {
        match self {
            Self::InLayer { error, .. } => error,
            error => error,
        }
    }

    /// The path of the layer that it happened in, `outer/inner/layer`; `None` for what is not about one.
    pub fn layer(&self) -> Option<&str> {
        match self {
            Self::InLayer { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The error, in the layer or model `name`; the layer of that model where it is in one already.
    pub(crate) fn in_layer(self, name: &str) -> Self {
        match self {
            Self::InLayer { path, error } => Self::InLayer { path: format!("{name}/{path}"), error },
            error => Self::InLayer { path: name.to_owned(), error: Box::new(error) },
        }
    }

    pub(crate) fn invalid(
        argument: &'static str,
        rule: impl Into<Cow<'static, str>>,
        received: impl Into<String>,
    ) -> Self {
        Self::Invalid { argument: argument.into(), rule: rule.into(), received: received.into() }
    }

    pub(crate) fn unsupported(what: impl Into<String>, reason: impl Into<Cow<'static, str>>) -> Self {
        let reason = match reason.into() {
            Cow::Borrowed(reason) => reason.into(),
            Cow::Owned(reason) => printable_name(&reason).into_owned().into(),
        };
        Self::Unsupported { what: what.into(), reason }
    }

    /// What is not supported for each of several `parts`, a line for each.
    #[cfg(any(feature = "keras", feature = "onnx", test))]
    pub(crate) fn unsupported_parts(
        what: impl Into<String>,
        summary: &str,
        parts: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut reason = summary.to_owned();
        for part in parts {
            reason += "\n  ";
            reason += &printable_name(&part);
        }
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
                feature = "safetensors",
                feature = "view"
            ))
        ),
        expect(dead_code, reason = "in a browser files are read behind features only")
    )]
    pub(crate) fn format(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Format { place: place.into(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that ends its line, goes back and turns the text must not be able to write a message of its own.
    #[test]
    fn no_name_writes_a_line_of_its_own() {
        let name = "a\nall is well\r\u{1b}[2J\u{202e}";
        let source = || format!("refused {name}");
        for error in [
            Error::invalid("x", format!("rule of {name}"), name),
            Error::unsupported(name, format!("not {name}")),
            Error::limit(format!("bytes of {name}"), 2, 1),
            Error::format(name, format!("bad {name}")),
        ] {
            let text = error.to_string();
            assert!(!text.contains(char::is_control) && !text.contains('\u{202e}'), "{text}");
            assert!(text.contains("a\\u{a}all is well\\u{d}\\u{1b}[2J\\u{202e}"), "{text}");
        }
        let driver = Error::gpu(format!("running {name}"), source()).to_string();
        assert!(!driver.contains(['\r', '\u{1b}', '\u{202e}']), "{driver}");
        let list = Error::unsupported_parts("m", "2 of its layers:", [name.to_owned(), "b".to_owned()]).to_string();
        assert_eq!(list.lines().count(), 3, "{list}");
    }
}
