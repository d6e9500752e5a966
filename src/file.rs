//! Files, whole.

use std::path::Path;

use crate::{Error, Result};

/// The bytes of the file at `path`, as many as it has when it is opened.
///
/// # Errors
/// [`Error::Format`] where it cannot be read, and for anything but a regular file: a pipe or a device may have no end.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;

    let refused = |problem: String| Error::format(path.display().to_string(), problem);
    let broken = |error: std::io::Error| refused(format!("cannot be read: {error}"));
    // Before it is opened: opening a pipe waits for someone to write to it.
    let metadata = std::fs::metadata(path).map_err(broken)?;
    if metadata.is_dir() {
        return Err(refused("cannot be read: a directory stands where a file is read".into()));
    }
    if !metadata.is_file() {
        return Err(refused("cannot be read: no regular file, but a pipe or a device; copy it to a file first".into()));
    }
    let mut bytes = Vec::new();
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(size).map_err(|_| refused(format!("cannot be read: no memory for its {size} bytes")))?;
    std::fs::File::open(path).map_err(broken)?.take(metadata.len()).read_to_end(&mut bytes).map_err(broken)?;
    Ok(bytes)
}

/// The bytes of the file at `path`; `None` where there is none.
///
/// # Errors
/// [`Error::Format`] where there is one that cannot be read.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn read_if_any(path: &Path) -> Result<Option<Vec<u8>>> {
    if path.exists() { read(path).map(Some) } else { Ok(None) }
}

/// Puts `bytes` at `path` as a whole: a reader finds what was there before, or all of them.
///
/// # Errors
/// [`Error::Format`] where it cannot be written.
#[cfg(any(not(target_arch = "wasm32"), feature = "keras", feature = "safetensors"))]
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;

    let broken =
        |error: std::io::Error| Error::format(path.display().to_string(), format!("cannot be written: {error}"));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    written().map_err(|error| {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&temporary);
        broken(error)
    })
}
