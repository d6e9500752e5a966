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

/// What a file is that this crate writes: an existing file is overwritten only where it is of the same kind, so that a slip of
/// the hand never costs a picture or a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A model or weights: `.keras`, HDF5 or `.safetensors`.
    Model,
    /// A page of HTML.
    Page,
    /// A PNG picture.
    Picture,
    /// Times of kernels.
    Tuning,
    /// What a driver has compiled.
    PipelineCache,
}

/// What a file of times of kernels begins with.
pub(crate) const TUNING: &str = "# Times of kernels";

impl FileKind {
    /// Whether a file that begins with `bytes` is one, or is empty.
    pub(crate) fn is(self, bytes: &[u8]) -> bool {
        let begins = |with: &[u8]| bytes.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
        bytes.is_empty()
            || match self {
                // A safetensors file begins with the length of its header, which is JSON.
                Self::Model => begins(b"PK") || begins(b"\x89HDF") || bytes.get(8) == Some(&b'{'),
                Self::Page => begins(b"<!DOCTYPE html>"),
                Self::Picture => begins(b"\x89PNG"),
                Self::Tuning => begins(TUNING.as_bytes()),
                Self::PipelineCache => begins(b"wgpu_pipeline_cache"),
            }
    }

    /// The kind in words.
    const fn name(self) -> &'static str {
        match self {
            Self::Model => "a model or weights",
            Self::Page => "a page of HTML",
            Self::Picture => "a PNG picture",
            Self::Tuning => "times of kernels",
            Self::PipelineCache => "a pipeline cache",
        }
    }
}

/// Puts `bytes` at `path` as a whole: a reader finds what was there before, or all of them. Everything that this crate and its
/// program write goes through here.
///
/// A link stays one, and the file that it leads to is replaced; an existing file keeps its permissions. What is no file, as a
/// pipe or a terminal, is written to.
///
/// # Errors
/// [`Error::Format`] where it cannot be written, and where an existing file is not of this `kind`: it is left as it is.
///
/// ```
/// use wgpu_conv::formats::{FileKind, write_file};
///
/// let path = std::env::temp_dir().join(format!("wgpu-conv-example-{}.txt", std::process::id()));
/// std::fs::write(&path, "a letter").unwrap();
/// assert!(write_file(&path, b"<!DOCTYPE html>", FileKind::Page).is_err());
/// assert_eq!(std::fs::read(&path).unwrap(), b"a letter");
/// # std::fs::remove_file(&path).unwrap();
/// ```
pub fn write_file(path: impl AsRef<Path>, bytes: &[u8], kind: FileKind) -> Result<()> {
    let path = path.as_ref();
    let place = path.display().to_string();
    let broken = |error: std::io::Error| Error::format(&place, format!("cannot be written: {error}"));
    let target = target_of(path).map_err(broken)?;
    match std::fs::metadata(&target) {
        Ok(found) if found.is_dir() => Err(Error::format(&place, "is a folder; give the path of a file in it")),
        Ok(found) if found.is_file() => {
            let mut start = Vec::new();
            let file = std::fs::File::open(&target).map_err(broken)?;
            std::io::Read::read_to_end(&mut std::io::Read::take(file, 64), &mut start).map_err(broken)?;
            if !kind.is(&start) {
                let problem = format!(
                    "there is a file that is not {}, and it was left as it is; give another path, or move it away first",
                    kind.name()
                );
                return Err(Error::format(&place, problem));
            }
            replace(&target, bytes, Some(found.permissions())).map_err(broken)
        }
        Ok(_) => std::fs::write(&target, bytes).map_err(broken),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => replace(&target, bytes, None).map_err(broken),
        Err(error) => Err(broken(error)),
    }
}

/// Where `path` leads, through links, whether there is anything or not.
fn target_of(path: &Path) -> std::io::Result<std::path::PathBuf> {
    let mut target = path.to_owned();
    // As many links as Linux follows.
    for _ in 0..40 {
        match std::fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(std::io::Error::other("too many links"))
}

/// Writes a file of a name that nobody can foresee beside `target`, and puts it in its place.
fn replace(target: &Path, bytes: &[u8], permissions: Option<std::fs::Permissions>) -> std::io::Result<()> {
    use std::hash::{BuildHasher, Hasher};
    use std::io::Write;

    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    // Without the target's name, which may be as long as names can be.
    let temporary = target.with_file_name(format!(".{random:016x}.tmp"));
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&temporary)?;
    let written = || -> std::io::Result<()> {
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        (&file).write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, target)
    };
    written().inspect_err(|_| {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&temporary);
    })
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_and_modes_stay_and_foreign_files_too() {
        let folder = std::env::temp_dir().join(format!("wgpu-conv-file-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let [file, link, letter] = ["page.html", "link.html", "letter.html"].map(|name| folder.join(name));
        write_file(&file, b"<!doctype html>old", FileKind::Page).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        symlink("page.html", &link).unwrap();
        write_file(&link, b"<!DOCTYPE html>new", FileKind::Page).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"<!DOCTYPE html>new");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&letter, "Dear reader").unwrap();
        for kind in [FileKind::Model, FileKind::Page, FileKind::Picture, FileKind::Tuning, FileKind::PipelineCache] {
            let error = write_file(&letter, b"x", kind).unwrap_err().to_string();
            assert!(error.contains("left as it is"), "{error}");
        }
        assert_eq!(std::fs::read(&letter).unwrap(), b"Dear reader");
        assert!(write_file(&folder, b"x", FileKind::Page).unwrap_err().to_string().contains("is a folder"));
        let dangling = folder.join("dangling.html");
        symlink("made.html", &dangling).unwrap();
        write_file(&dangling, b"<!DOCTYPE html>", FileKind::Page).unwrap();
        assert!(folder.join("made.html").is_file());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 5, "a temporary file is left");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
