//! Reading files whole, and writing them so that what stood there is replaced by the whole new file or not at all, and only by its
//! own kind.

use std::path::Path;

use crate::text::printable_name;
use crate::{Error, Result};

/// The bytes of the file at `path`, as many as it has when it is opened.
///
/// # Errors
/// [`Error::Format`] where it cannot be read, and for anything but a regular file: a pipe or a device may have no end.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    use std::io::Read;

    let path = path.as_ref();
    let (file, length) = open(path)?;
    let refused = |problem: String| Error::format(path.display().to_string(), format!("cannot be read: {problem}"));
    let mut bytes = Vec::new();
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(size).map_err(|_| refused(format!("no memory for its {size} bytes")))?;
    file.take(length).read_to_end(&mut bytes).map_err(|error| refused(error.to_string()))?;
    Ok(bytes)
}

/// The regular file at `path`, opened, and its bytes.
///
/// # Errors
/// [`Error::Format`] where there is none, or it may not be read.
pub(crate) fn open(path: &Path) -> Result<(std::fs::File, u64)> {
    let refused = |problem: String| Error::format(path.display().to_string(), format!("cannot be read: {problem}"));
    let broken = |error: std::io::Error| refused(error.to_string());
    // Before it is opened: opening a pipe waits for someone to write to it.
    let metadata = std::fs::metadata(path).map_err(broken)?;
    if metadata.is_dir() {
        return Err(refused("a directory stands where a file is read".into()));
    }
    if !metadata.is_file() {
        return Err(refused("no regular file, but a pipe or a device; copy it to a file first".into()));
    }
    Ok((std::fs::File::open(path).map_err(broken)?, metadata.len()))
}

/// The bytes of the file at `path`; `None` where there is none.
///
/// # Errors
/// [`Error::Format`] where there is one that cannot be read, or where it cannot be told.
#[cfg(any(not(target_arch = "wasm32"), feature = "keras"))]
pub(crate) fn read_if_any(path: &Path) -> Result<Option<Vec<u8>>> {
    use std::io::ErrorKind;

    match std::fs::metadata(path) {
        // Browsers have no files.
        Err(error) if [ErrorKind::NotFound, ErrorKind::Unsupported].contains(&error.kind()) => Ok(None),
        _ => read(path).map(Some),
    }
}

/// What a file is that this crate writes: an existing file is overwritten only where it is of the same kind, so that a slip of
/// the hand never costs a picture or a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A model or weights: `.keras`, HDF5 with Keras's groups, or `.safetensors`.
    Model,
    /// A page of HTML that this crate has written: see [`Viewer::page`](../view/struct.Viewer.html#method.page).
    Page,
    /// A PNG picture that this crate has written.
    Picture,
    /// Arrays: `.npy`, `.npz` or `.safetensors`.
    Arrays,
    /// A table of what the epochs of a training came to: see [`CSVLogger`](crate::training::CSVLogger).
    Table,
    /// Times of kernels.
    Tuning,
    /// What a driver has compiled.
    PipelineCache,
}

/// What a file of times of kernels begins with, at the least.
#[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "browsers measure nothing"))]
pub(crate) const TIMES_BEGIN: &str = "# Times of kernels";
/// The first line of a file of times of kernels.
pub(crate) const TIMES: &str =
    "# Times of kernels: device, problem, then each plan with its samples in nanoseconds; tabs between.\n";
/// What tells a page of this crate from others; it stands near the beginning.
pub(crate) const PAGE: &str = "<meta name=\"generator\" content=\"wgpu-conv\">";
/// What tells a picture of this crate from others: the keyword and the text of a PNG's text chunk.
pub(crate) const PICTURE: [&str; 2] = ["Software", "wgpu-conv"];

/// How far into a page or a picture its mark may stand.
const MARKED: usize = 1024;

impl FileKind {
    /// Whether `bytes` are a file of this kind, or of none at all.
    pub(crate) fn is(self, bytes: &[u8]) -> bool {
        let begins = |with: &[u8]| bytes.starts_with(with);
        let marked = |with: &str| holds(&bytes[..bytes.len().min(MARKED)], with);
        bytes.is_empty()
            || match self {
                Self::Model => {
                    begins(b"PK\x03\x04") && holds(bytes, "config.json") && holds(bytes, "model.weights.h5")
                        || begins(b"\x89HDF\r\n\x1a\n") && (holds(bytes, "layers") || holds(bytes, "layer_names"))
                        || is_safetensors(bytes)
                }
                Self::Page => begins(b"<!DOCTYPE html>") && marked(PAGE),
                Self::Picture => begins(b"\x89PNG\r\n\x1a\n") && marked(&PICTURE.join("\0")),
                Self::Table => begins(b"epoch"),
                Self::Arrays => begins(b"\x93NUMPY") || is_npz(bytes) || is_safetensors(bytes),
                Self::Tuning => is_times(bytes),
                Self::PipelineCache => begins(b"wgpu_pipeline_cache"),
            }
    }

    /// The kind in words.
    const fn name(self) -> &'static str {
        match self {
            Self::Model => "a model or weights",
            Self::Page => "a page of this program's",
            Self::Picture => "a picture of this program's",
            Self::Arrays => "arrays",
            Self::Table => "a table of epochs",
            Self::Tuning => "times of kernels",
            Self::PipelineCache => "a pipeline cache",
        }
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A safetensors file is the length of its header, the header as JSON, which has a place for each tensor, and their bytes.
fn is_safetensors(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else { return false };
    let header = usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| rest.get(..length));
    header.is_some_and(|header| {
        header.starts_with(b"{") && header.trim_ascii_end().ends_with(b"}") && {
            holds(header, "\"data_offsets\"") || header.trim_ascii_end() == b"{}" || holds(header, "\"__metadata__\"")
        }
    })
}

/// A line of a file of times of kernels.
#[cfg_attr(target_arch = "wasm32", allow(dead_code, reason = "browsers measure nothing"))]
pub(crate) struct Times<'a> {
    pub(crate) device: &'a str,
    pub(crate) problem: &'a str,
    /// Each plan with its samples, in nanoseconds; one of each at least.
    pub(crate) plans: Vec<(&'a str, Vec<u64>)>,
}

/// What `line` says, if it is a whole one.
pub(crate) fn times_in(line: &str) -> Option<Times<'_>> {
    fn plan(field: &str) -> Option<(&str, Vec<u64>)> {
        let mut words = field.split(' ');
        let plan = words.next()?;
        let samples: Option<Vec<u64>> = words.map(|word| word.parse().ok()).collect();
        Some((plan, samples.filter(|samples| !samples.is_empty())?))
    }
    let mut fields = line.strip_suffix('\n')?.split('\t');
    let (device, problem) = (fields.next()?, fields.next()?);
    let plans = fields.map(plan).collect::<Option<Vec<_>>>().filter(|plans| !plans.is_empty())?;
    Some(Times { device, problem, plans })
}

/// A file of times of kernels is its first line, and whole lines of times to the last.
fn is_times(bytes: &[u8]) -> bool {
    let lines = std::str::from_utf8(bytes).ok().and_then(|text| text.strip_prefix(TIMES));
    lines.is_some_and(|lines| lines.split_inclusive('\n').all(|line| times_in(line).is_some()))
}

/// An `.npz` file is a zip file whose entries are all `.npy` files. It ends in 22 bytes that say how long the list of its entries
/// is, and where it stands.
fn is_npz(bytes: &[u8]) -> bool {
    let short = |bytes: &[u8], at: usize| Some(usize::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)));
    let long = |bytes: &[u8], at| usize::try_from(u32::from_le_bytes(*bytes[at..].first_chunk()?)).ok();
    let arrays = || {
        let (rest, end) = bytes.split_last_chunk::<22>()?;
        let (length, start) = (long(end, 12)?, long(end, 16)?);
        let mut entries = rest.get(start..)?.get(..length).filter(|_| end.starts_with(b"PK\x05\x06"))?;
        while !entries.is_empty() {
            let name = entries.get(46..)?.get(..short(entries, 28)?)?;
            if !entries.starts_with(b"PK\x01\x02") || !name.ends_with(b".npy") {
                return None;
            }
            entries = entries.get(46 + name.len() + short(entries, 30)? + short(entries, 32)?..)?;
        }
        Some(length > 0)
    };
    arrays().unwrap_or(false)
}

/// Puts `bytes` at `path` as a whole: a reader finds what was there before, or all of them. Everything that this crate and its
/// program write goes through here.
///
/// A link stays one, and the file that it leads to is replaced; an existing file keeps its permissions. What is no file, as a
/// pipe or a terminal, is written to.
///
/// # Errors
/// [`Error::Format`] where it cannot be written, and where an existing file is not of this `kind` or must not be written to: it
/// is left as it is.
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
    let broken = |error: std::io::Error| cannot_be_written(path, error);
    match destination_of(path, kind)? {
        Destination::File(target, permissions) => replace(&target, bytes, permissions).map_err(broken),
        Destination::Stream(target) => std::fs::write(&target, bytes).map_err(broken),
    }
}

/// Whether [`write_file`] would write to `path`, as far as can be told before: for what takes long to compute.
///
/// # Errors
/// Those of [`write_file`], and [`Error::Format`] where there is no folder for the file.
///
/// ```
/// use wgpu_conv::formats::{FileKind, check_file};
///
/// let error = check_file("no/such/folder/trained.keras", FileKind::Model).unwrap_err().to_string();
/// assert!(error.contains("there is no folder"), "{error}");
/// ```
pub fn check_file(path: impl AsRef<Path>, kind: FileKind) -> Result<()> {
    let path = path.as_ref();
    let Destination::File(target, _) = destination_of(path, kind)? else { return Ok(()) };
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            let problem =
                format!("there is no folder {}; make it first", printable_name(&folder.display().to_string()));
            Err(Error::format(path.display().to_string(), problem))
        }
        _ => Ok(()),
    }
}

/// Where bytes go.
enum Destination {
    /// To a file, new or with the permissions of the one that they replace.
    File(std::path::PathBuf, Option<std::fs::Permissions>),
    /// To what is no file, as a pipe or a terminal.
    Stream(std::path::PathBuf),
}

fn cannot_be_written(path: &Path, error: std::io::Error) -> Error {
    Error::format(path.display().to_string(), format!("cannot be written: {error}"))
}

/// Where bytes for `path` go, if they may.
fn destination_of(path: &Path, kind: FileKind) -> Result<Destination> {
    let place = path.display().to_string();
    let broken = |error: std::io::Error| cannot_be_written(path, error);
    let kept = |problem: String| {
        let advice = "and it was left as it is; give another path, or move it away first";
        Error::format(&place, format!("{problem}, {advice}"))
    };
    let target = target_of(path).map_err(broken)?;
    match std::fs::metadata(&target) {
        Ok(found) if found.is_dir() => Err(Error::format(&place, "is a folder; give the path of a file in it")),
        Ok(found) if found.is_file() => {
            // A new file would take the place of one that is protected; where nobody may write to it, nor may the superuser.
            let writable = std::fs::OpenOptions::new().write(true).open(&target);
            match writable {
                Ok(_) if !found.permissions().readonly() => {}
                Err(error) if error.kind() != std::io::ErrorKind::PermissionDenied => return Err(broken(error)),
                _ => return Err(kept("there is a file that must not be written to".into())),
            }
            if !kind.is(&read(&target)?) {
                return Err(kept(format!("there is a file that is not {}", kind.name())));
            }
            Ok(Destination::File(target, Some(found.permissions())))
        }
        Ok(_) => Ok(Destination::Stream(target)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Destination::File(target, None)),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of each kind as this crate writes it, as short as it may be.
    fn page(text: &str) -> Vec<u8> {
        format!("<!DOCTYPE html>\n<html>\n<head>\n{PAGE}\n{text}").into_bytes()
    }

    #[test]
    fn kinds_are_told_from_what_is_like_them() {
        let zip = |names: &[&str]| [b"PK\x03\x04", names.join("\0").as_bytes()].concat();
        let safetensors = |header: &str| [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &[0; 4]].concat();
        // The list of a zip file's entries, and its end.
        let listed = |names: &[&str]| {
            let entry = |name: &&str| {
                let mut entry = [&b"PK\x01\x02"[..], &[0; 42], name.as_bytes()].concat();
                entry[28] = name.len() as u8;
                entry
            };
            let entries = names.iter().map(entry).collect::<Vec<_>>().concat();
            let [length, start] = [entries.len() as u32, 4].map(u32::to_le_bytes);
            [b"PK\x03\x04", &entries[..], b"PK\x05\x06", &[0; 8], &length, &start, &[0; 2]].concat()
        };
        let times = |lines: &str| [TIMES, lines].concat().into_bytes();
        let hdf5 = |text: &str| [b"\x89HDF\r\n\x1a\n", text.as_bytes()].concat();
        let png = |text: &str| [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", text.as_bytes()].concat();
        let tensor = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  "#;
        for (kind, file, expected) in [
            (FileKind::Model, zip(&["metadata.json", "config.json", "model.weights.h5"]), true),
            (FileKind::Model, zip(&["config.json", "notes.txt"]), false),
            (FileKind::Model, zip(&["[Content_Types].xml"]), false),
            (FileKind::Model, hdf5("...layers...vars"), true),
            (FileKind::Model, hdf5("layer_names"), true),
            (FileKind::Model, hdf5("temperatures"), false),
            (FileKind::Model, safetensors(tensor), true),
            (FileKind::Model, safetensors("{}"), true),
            // A brace in the ninth place of a text.
            (FileKind::Model, b"int main {return 0;}".to_vec(), false),
            (FileKind::Model, safetensors("{\"a\": 1}"), false),
            (FileKind::Model, [&9u64.to_le_bytes()[..], b"{}"].concat(), false),
            (FileKind::Page, page(""), true),
            (FileKind::Page, b"<!DOCTYPE html>\n<html>my own page".to_vec(), false),
            (FileKind::Page, b"<!doctype html>".to_vec(), false),
            (FileKind::Picture, png("tEXtSoftware\0wgpu-conv"), true),
            (FileKind::Picture, png("tEXtSoftware\0a camera"), false),
            (FileKind::Arrays, b"\x93NUMPY\x01\0".to_vec(), true),
            (FileKind::Arrays, b"1,2,3".to_vec(), false),
            (FileKind::Arrays, listed(&["output_0.npy", "output_1.npy"]), true),
            (FileKind::Arrays, listed(&["output_0.npy", "letter.txt"]), false),
            (FileKind::Arrays, listed(&[]), false),
            (FileKind::Arrays, listed(&["output_0.npy"])[..40].to_vec(), false),
            (FileKind::Model, listed(&["output_0.npy"]), false),
            (FileKind::Tuning, times(""), true),
            (FileKind::Tuning, times("a device\ta problem\ta_plan 10 12\tanother_plan 20\n"), true),
            (FileKind::Tuning, times("a device\ta problem\ta_plan 10 12"), false),
            (FileKind::Tuning, times("a device\ta problem\ta_plan 10 12\nWhat I think of them.\n"), false),
            (FileKind::Tuning, b"# Times of kernels: ...".to_vec(), false),
            (FileKind::Tuning, b"# Times".to_vec(), false),
        ] {
            assert_eq!(kind.is(&file), expected, "{kind:?}: {:?}", String::from_utf8_lossy(&file));
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_and_modes_stay_and_foreign_files_too() {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = std::env::temp_dir().join(format!("wgpu-conv-file-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let [file, link, letter] = ["page.html", "link.html", "letter.html"].map(|name| folder.join(name));
        write_file(&file, &page("old"), FileKind::Page).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        symlink("page.html", &link).unwrap();
        write_file(&link, &page("new"), FileKind::Page).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), page("new"));
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // What nobody may write to.
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o444)).unwrap();
        let error = write_file(&link, &page("newer"), FileKind::Page).unwrap_err().to_string();
        assert!(error.contains("must not be written to") && error.contains("left as it is"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), page("new"));
        std::fs::write(&letter, "Dear reader").unwrap();
        for kind in [FileKind::Model, FileKind::Page, FileKind::Picture, FileKind::Tuning, FileKind::PipelineCache] {
            let error = write_file(&letter, b"x", kind).unwrap_err().to_string();
            assert!(error.contains("left as it is"), "{error}");
        }
        assert_eq!(std::fs::read(&letter).unwrap(), b"Dear reader");
        assert!(write_file(&folder, b"x", FileKind::Page).unwrap_err().to_string().contains("is a folder"));
        let dangling = folder.join("dangling.html");
        symlink("made.html", &dangling).unwrap();
        write_file(&dangling, &page(""), FileKind::Page).unwrap();
        assert!(folder.join("made.html").is_file());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 5, "a temporary file is left");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
