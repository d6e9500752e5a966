//! Process-wide defaults, and Keras's `keras.json`.

use std::sync::{PoisonError, RwLock};

use crate::{DTypePolicy, DataFormat, Error, Result};

/// The defaults that a layer takes when it is constructed.
///
/// The process's own are Keras's built-in defaults until others are [installed](Self::install): those of the user's
/// `keras.json`, for instance, with the feature `keras` by `Settings::load_user()?.install()`. Nothing is read unasked, so that a
/// program computes the same for every user. An argument beats a setter, a setter the settings. Changing them does not
/// change layers that exist. Nothing is ever written.
///
/// ```
/// use wgpu_conv::{DataFormat, Settings, layers::Conv2D};
///
/// // For one layer, whatever the process's settings:
/// let settings = Settings { image_data_format: DataFormat::ChannelsFirst, ..Settings::default() };
/// let conv = Conv2D::new(8, 3).settings(&settings);
///
/// // For every layer from here on:
/// settings.install();
/// assert_eq!(Conv2D::new(8, 3).arguments.data_format, DataFormat::ChannelsFirst);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Where layers expect the channels; `channels_last` by default.
    pub image_data_format: DataFormat,
    /// The type that layers store and compute in; float32 by default. A mixed policy here acts as Keras's global policy.
    pub floatx: DTypePolicy,
    /// What constraints add to a norm before they divide by it; 1e-7 by default.
    pub epsilon: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { image_data_format: DataFormat::ChannelsLast, floatx: DTypePolicy::Float32, epsilon: 1e-7 }
    }
}

/// The process's settings, once installed.
static CURRENT: RwLock<Option<Settings>> = RwLock::new(None);

impl Settings {
    /// The process's settings.
    pub fn current() -> Self {
        CURRENT.read().unwrap_or_else(PoisonError::into_inner).unwrap_or_default()
    }

    /// Makes these the process's settings.
    pub fn install(self) {
        *CURRENT.write().unwrap_or_else(PoisonError::into_inner) = Some(self);
    }

    /// Changes where layers constructed from now on expect the channels. Keras's name, in any letter case, becomes a
    /// [`DataFormat`] by [`DataFormat::from_name`].
    pub fn set_image_data_format(image_data_format: DataFormat) {
        Self { image_data_format, ..Self::current() }.install();
    }

    /// Changes the type that layers constructed from now on store and compute in: float16, bfloat16, float32 or float64.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other policy, which is no type.
    pub fn set_floatx(floatx: DTypePolicy) -> Result<()> {
        match floatx {
            DTypePolicy::Float16 | DTypePolicy::BFloat16 | DTypePolicy::Float32 | DTypePolicy::Float64 => {
                Self { floatx, ..Self::current() }.install();
                Ok(())
            }
            _ => Err(Error::invalid(
                "floatx",
                "`floatx` must be float16, bfloat16, float32 or float64",
                format!("floatx={}", floatx.name()),
            )),
        }
    }
}

#[cfg(feature = "keras")]
mod file {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use serde_json::Value;

    use super::*;
    use crate::budget::Meter;
    use crate::file::read_if_any;
    use crate::text::printable_name;

    impl Settings {
        /// The settings in the user's `keras.json`, where Keras itself looks for it: see
        /// [`keras_json_path`](Self::keras_json_path). The defaults where there is none.
        ///
        /// # Errors
        /// Those of [`load`](Self::load).
        ///
        /// ```no_run
        /// wgpu_conv::Settings::load_user()?.install();
        /// # Ok::<(), wgpu_conv::Error>(())
        /// ```
        pub fn load_user() -> Result<Self> {
            Self::keras_json_path().map_or_else(|| Ok(Self::default()), Self::load)
        }

        /// The settings in the file at `path`; the defaults where there is none.
        ///
        /// As in Keras, keys may be absent or unknown, and a file that is no JSON at all counts as absent, here with a
        /// logged warning.
        ///
        /// # Errors
        /// [`Error::Format`] naming the file: unreadable, no regular file, JSON but not an object, or a known key with a wrong
        /// value; [`Error::Limit`] where it is over the [budget](crate::formats::Budget).
        pub fn load(path: impl AsRef<Path>) -> Result<Self> {
            let path = path.as_ref();
            let place = path.display().to_string();
            read_if_any(path)?.map_or_else(|| Ok(Self::default()), |bytes| Self::parse(&bytes, &place))
        }

        /// The settings in `text`, the content of a `keras.json`, by the rules of [`load`](Self::load).
        ///
        /// # Errors
        /// [`Error::Format`], as for [`load`](Self::load).
        ///
        /// ```
        /// use wgpu_conv::{DataFormat, Settings};
        ///
        /// let settings = Settings::from_json(r#"{"image_data_format": "channels_first", "backend": "jax"}"#)?;
        /// assert_eq!(settings, Settings { image_data_format: DataFormat::ChannelsFirst, ..Settings::default() });
        /// # Ok::<(), wgpu_conv::Error>(())
        /// ```
        pub fn from_json(text: &str) -> Result<Self> {
            Self::parse(text.as_bytes(), FILE)
        }

        /// The file that [`load_user`](Self::load_user) reads: `keras.json` in the directory `KERAS_HOME`, or in `.keras`
        /// in the home directory, or in the system's temporary directory where home, as far as its permission bits tell,
        /// is not writable. `None` on the web, which has no files.
        pub fn keras_json_path() -> Option<PathBuf> {
            if cfg!(target_family = "wasm") {
                return None;
            }
            Some(locate(std::env::var_os("KERAS_HOME"), std::env::home_dir(), std::env::temp_dir))
        }

        fn parse(bytes: &[u8], place: &str) -> Result<Self> {
            // What an array within an array takes for each of its bytes, the most that any text does.
            const EACH: u64 = 4 * size_of::<Value>() as u64 + 16;
            Meter::new(place, bytes.len()).memory(EACH.saturating_mul(bytes.len() as u64))?;
            let json = match serde_json::from_slice(bytes) {
                Ok(json) => json,
                Err(error) => {
                    let place = printable_name(place);
                    log::warn!("{place} is not JSON and is ignored: {error}");
                    return Ok(Self::default());
                }
            };
            let Value::Object(map) = &json else {
                return Err(Error::format(place, format!("must hold a JSON object; received {json}")));
            };
            let mut settings = Self::default();
            let formats = [DataFormat::ChannelsLast, DataFormat::ChannelsFirst].map(|format| (format.name(), format));
            let types = [DTypePolicy::Float16, DTypePolicy::Float32, DTypePolicy::Float64].map(|ty| (ty.name(), ty));
            for (key, value) in map {
                let wrong =
                    |allowed: &str| Error::format(place, format!("`{key}` must be {allowed}; received {value}"));
                match key.as_str() {
                    "image_data_format" => {
                        settings.image_data_format = choose(value, &formats).map_err(|a| wrong(&a))?
                    }
                    "floatx" => settings.floatx = choose(value, &types).map_err(|a| wrong(&a))?,
                    "epsilon" => {
                        let float = value.as_f64().filter(|_| value.is_f64());
                        settings.epsilon =
                            float.ok_or_else(|| wrong("a float, written with a point or an exponent"))?;
                    }
                    _ => {}
                }
            }
            Ok(settings)
        }
    }

    const FILE: &str = "keras.json";

    /// The choice that `value` names, or the names there are.
    fn choose<T: Copy>(value: &Value, choices: &[(&str, T)]) -> Result<T, String> {
        let chosen = choices.iter().find(|(name, _)| value == name);
        chosen.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            names.join(" or ")
        })
    }

    /// Where `keras.json` is, given `KERAS_HOME` (which counts if set, even to nothing) and the home directory.
    fn locate(keras_home: Option<OsString>, home: Option<PathBuf>, temporary: impl FnOnce() -> PathBuf) -> PathBuf {
        let directory = match keras_home.map(PathBuf::from) {
            Some(directory) => match (directory.strip_prefix("~"), &home) {
                (Ok(below), Some(home)) => home.join(below),
                _ => directory,
            },
            None => {
                let writable =
                    |home: &PathBuf| home.metadata().is_ok_and(|m| m.is_dir() && !m.permissions().readonly());
                home.filter(writable).unwrap_or_else(temporary).join(".keras")
            }
        };
        directory.join(FILE)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn accepted_files() {
            let default = Settings::default();
            let first = Settings { image_data_format: DataFormat::ChannelsFirst, ..default };
            for (text, expected) in [
                ("{}", default),
                (r#"{"backend": "torch", "anything": [1]}"#, default),
                (r#"{"image_data_format": "channels_first"}"#, first),
                (r#"{"image_data_format": "channels_last"}"#, default),
                (r#"{"floatx": "float16"}"#, Settings { floatx: DTypePolicy::Float16, ..default }),
                (r#"{"floatx": "float64"}"#, Settings { floatx: DTypePolicy::Float64, ..default }),
                (r#"{"epsilon": 1.0}"#, Settings { epsilon: 1.0, ..default }),
                (
                    r#"{"floatx": "float32", "epsilon": 1e-07, "backend": "jax", "image_data_format": "channels_first"}"#,
                    first,
                ),
                // Not JSON: ignored.
                ("", default),
                ("image_data_format: channels_first", default),
                ("\u{feff}{\"image_data_format\": \"channels_first\"}", default),
            ] {
                assert_eq!(Settings::from_json(text).unwrap(), expected, "{text}");
            }
            assert_eq!(Settings::parse(b"{\"floatx\": \"\xff\"}", FILE).unwrap(), default);
        }

        #[test]
        fn refused_files() {
            for (text, problem) in [
                ("null", "must hold a JSON object; received null"),
                ("[1]", "must hold a JSON object; received [1]"),
                (
                    r#"{"image_data_format": "Channels_First"}"#,
                    r#"`image_data_format` must be "channels_last" or "channels_first"; received "Channels_First""#,
                ),
                (
                    r#"{"image_data_format": null}"#,
                    r#"`image_data_format` must be "channels_last" or "channels_first"; received null"#,
                ),
                (
                    r#"{"floatx": "bfloat16"}"#,
                    r#"`floatx` must be "float16" or "float32" or "float64"; received "bfloat16""#,
                ),
                (r#"{"epsilon": 1}"#, "`epsilon` must be a float, written with a point or an exponent; received 1"),
                (
                    r#"{"epsilon": "1e-7"}"#,
                    "`epsilon` must be a float, written with a point or an exponent; received \"1e-7\"",
                ),
            ] {
                let error = Settings::from_json(text).unwrap_err();
                assert!(matches!(error, Error::Format { .. }));
                assert_eq!(error.to_string(), format!("keras.json: {problem}"));
            }
        }

        #[test]
        fn files_that_are_absent_or_unreadable() {
            let directory = std::env::temp_dir();
            assert_eq!(Settings::load(directory.join("wgpu-conv/none/keras.json")).unwrap(), Settings::default());
            // A directory is there, but cannot be read as a file.
            let error = Settings::load(&directory).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}: cannot be read", directory.display())), "{error}");
            // What has no end is not read.
            if cfg!(unix) {
                let error = Settings::load("/dev/zero").unwrap_err().to_string();
                assert!(error.contains("no regular file"), "{error}");
            }
        }

        #[test]
        fn what_it_takes_is_bounded() {
            let text = "[".repeat(4 << 20);
            assert!(matches!(Settings::from_json(&text), Err(Error::Limit { .. })));
        }

        #[test]
        fn where_the_file_is() {
            let temporary = || PathBuf::from("/tmp/of/the/system");
            let home = std::env::temp_dir();
            let located = |keras_home: Option<&str>, home: Option<&PathBuf>| {
                locate(keras_home.map(OsString::from), home.cloned(), temporary)
            };
            assert_eq!(located(Some("/etc/keras"), Some(&home)), Path::new("/etc/keras/keras.json"));
            assert_eq!(located(Some(""), Some(&home)), Path::new("keras.json"));
            assert_eq!(located(Some("~/k"), Some(&home)), home.join("k/keras.json"));
            assert_eq!(located(Some("~"), Some(&home)), home.join("keras.json"));
            assert_eq!(located(Some("~/k"), None), Path::new("~/k/keras.json"));
            assert_eq!(located(None, Some(&home)), home.join(".keras/keras.json"));
            assert_eq!(located(None, None), temporary().join(".keras/keras.json"));
            assert_eq!(located(None, Some(&home.join("wgpu-conv/none"))), temporary().join(".keras/keras.json"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_policies_are_no_types() {
        for policy in [DTypePolicy::MixedFloat16, DTypePolicy::MixedBFloat16, DTypePolicy::EmulatedFloat16] {
            assert!(matches!(Settings::set_floatx(policy), Err(Error::Invalid { .. })));
        }
    }
}
