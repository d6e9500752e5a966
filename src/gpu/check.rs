//! Compiles code of the caller's without a device, so that what is wrong with it is told where a layer is built, with the line.
//!
//! It is naga that reads it, the compiler that wgpu has in it.

#[cfg(not(target_arch = "wasm32"))]
use std::collections::HashSet;
#[cfg(not(target_arch = "wasm32"))]
use std::sync::{LazyLock, Mutex, PoisonError};

#[cfg(not(target_arch = "wasm32"))]
use wgpu::naga;
#[cfg(not(target_arch = "wasm32"))]
use wgpu::naga::valid::{Capabilities, ValidationFlags, Validator};

use crate::DType;
#[cfg(not(target_arch = "wasm32"))]
use crate::kernels::custom_shader;
use crate::plan::Code;

/// Compiles `code` without a device; what is wrong with it is said in words, with the caller's line.
///
/// In a browser its own compiler reads the code when it is first used, and what that says comes with the next readback.
#[cfg(target_arch = "wasm32")]
pub(crate) fn check_code(_code: Code, _dtype: DType) -> Result<(), String> {
    Ok(())
}

/// Compiles `code` without a device; what is wrong with it is said in words, with the caller's line.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn check_code(code: Code, dtype: DType) -> Result<(), String> {
    static SOUND: LazyLock<Mutex<HashSet<(Code, DType)>>> = LazyLock::new(Mutex::default);
    let sound = || SOUND.lock().unwrap_or_else(PoisonError::into_inner);
    if sound().contains(&(code, dtype)) {
        return Ok(());
    }
    let text = custom_shader(code, dtype).wgsl();
    let module = naga::front::wgsl::parse_str(&text).map_err(|error| {
        let at = error.location(&text).map(|location| location.offset);
        placed(
            &text,
            code,
            at,
            &[&[error.message().to_owned()], &error.notes().map(str::to_owned).collect::<Vec<_>>()[..]].concat(),
        )
    })?;
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SHADER_FLOAT16, dtype == DType::F16);
    let valid = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
    valid.map_err(|error| {
        // The function, the call in it, the argument: what lies innermost.
        let spans = error.spans().filter_map(|(span, _)| span.to_range());
        let at = spans.min_by_key(ExactSizeIterator::len).map(|innermost| innermost.start as u32);
        let mut says = vec![error.as_inner().to_string()];
        let mut cause = std::error::Error::source(error.as_inner());
        while let Some(inner) = cause {
            says.push(inner.to_string());
            cause = inner.source();
        }
        placed(&text, code, at, &says)
    })?;
    sound().insert((code, dtype));
    Ok(())
}

/// What a compiler `says` of the byte `at` of `text`, by the caller's own line and column.
#[cfg(not(target_arch = "wasm32"))]
fn placed(text: &str, code: Code, at: Option<u32>, says: &[String]) -> String {
    let says = says.join(": ");
    let first = text.find(code.text).unwrap_or(0);
    let own = at.and_then(|at| text.get(first..at as usize)).and_then(|before| {
        let number = before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
        let line = code.text.lines().nth(number).filter(|_| number < code.lines as usize)?;
        Some(format!("line {}, column {column}, `{}`: {says}", number + 1, line.trim()))
    });
    own.unwrap_or_else(|| format!("in what stands around it: {says}"))
}
