//! Weights from files, and models to files, whose content, or name, says of which format they are.

use std::path::Path;

use super::weights::{Weights, places};
use crate::file::{FileKind, write_file};
use crate::model::Model;
use crate::{Error, Result};
#[cfg(feature = "keras")]
use {
    super::hdf5::WeightsFile, super::keras::Archive, super::keras_write, crate::Variable, crate::budget::Meter,
    crate::layers::Layer, std::collections::HashMap, std::sync::Arc,
};

impl Model {
    /// Replaces the values of all weights by those in a file, whose content says which it is:
    ///
    /// - `.weights.h5` of Keras 3, and the weights of a `.keras` file: by class, and the place among the layers of the class;
    /// - legacy `.h5`, of weights or of a whole model: by the place among the layers that have weights;
    /// - `.safetensors`: by Keras's path, `<layer>/<weight>`, before which there may be the names of the models around the
    ///   layer.
    ///
    /// # Errors
    /// [`Error::Format`] where the file cannot be read, or naming the layer, the expected and the received where it holds
    /// other weights; the model is unchanged then.
    ///
    /// ```no_run
    /// # use wgpu_conv::{Gpu, model::Model};
    /// # fn trained(mut model: Model) -> wgpu_conv::Result<Model> {
    /// model.load_weights("epoch_20.weights.h5")?;
    /// # Ok(model)
    /// # }
    /// ```
    pub fn load_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let place = path.display().to_string();
        let weights = weights(super::read(path)?, self.name(), &place)?;
        let places: Vec<_> = places(self).into_iter().map(|(place, _)| place).collect();
        let paths: Vec<_> = places.iter().map(|place| place.path.join("/")).collect();
        // All of them before the first is set: a file that does not fit changes nothing.
        let values = weights.located(places, place)?.all()?;
        for (path, values) in paths.iter().zip(&values) {
            self.get_layer(path.as_str())?.set_weights(values)?;
        }
        Ok(())
    }

    /// Saves the model, or its weights; the name says which:
    ///
    /// - `.keras`: the model with its weights, as Keras 3 loads it. How the model was compiled for training is kept where it
    ///   was read from such a file of Keras 3; the state of its optimizer is not. What the file that it was read from held beside
    ///   that is said once more by a warning in the log, as [`KerasFile::not_kept`](super::KerasFile::not_kept) says it before.
    ///   Layers of Keras that are several here, as `Bidirectional` or attention, operators, and calls that give masks are written as
    ///   they were read from a file of Keras 3, but for `SpectralNormalization`, which is written as a model of the layer in it.
    /// - `.weights.h5`: the weights, for Keras 3's `load_weights`.
    /// - `.safetensors`: the weights by path, `<layer>/<weight>`, behind the names of the models that the layer stands in,
    ///   that of a [`Sequential`](crate::model::Sequential) included.
    ///
    /// Whatever happens, what stood there before is replaced by the whole new file or not at all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another name; [`Error::Unsupported`] listing the layers that Keras does not have;
    /// [`Error::Format`] where the file cannot be written.
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, model::Model};
    ///
    /// let model = Model::load(&Gpu::new()?, "digits.h5")?;
    /// model.save("digits.keras")?;
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let place = path.display().to_string();
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let bytes = match name {
            #[cfg(feature = "keras")]
            name if name.ends_with(".keras") => {
                let bytes = keras_write::keras(self, None, &Layer::get_weights, &place)?;
                let lost = self.notes().get("not_kept").and_then(serde_json::Value::as_array);
                for lost in lost.into_iter().flatten().filter_map(serde_json::Value::as_str) {
                    log::warn!(
                        "{place}: {lost}, which the file that model {} was read from holds, is not kept",
                        self.name()
                    );
                }
                bytes
            }
            #[cfg(feature = "keras")]
            name if name.ends_with(".weights.h5") => keras_write::weights(self, None, &Layer::get_weights, &place)?,
            #[cfg(feature = "safetensors")]
            name if name.ends_with(".safetensors") => {
                let places = places(self);
                let around = if self.is_chain() { format!("{}/", self.name()) } else { String::new() };
                let tensors = places.iter().flat_map(|(place, layer)| {
                    let layer_path = place.path.join("/");
                    let around = &around;
                    let named = move |weight: &crate::Variable| format!("{around}{layer_path}/{}", weight.name());
                    layer.weights().iter().map(move |weight| Ok((named(weight), weight.read()?)))
                });
                super::safetensors::write(&tensors.collect::<Result<Vec<_>>>()?, &place)?
            }
            _ => {
                let kinds = [
                    (cfg!(feature = "keras"), ".keras"),
                    (cfg!(feature = "keras"), ".weights.h5"),
                    (cfg!(feature = "safetensors"), ".safetensors"),
                ];
                let kinds: Vec<_> = kinds.into_iter().filter_map(|(on, kind)| on.then_some(kind)).collect();
                let rule = format!("the name of a file to be written must end in {}", kinds.join(" or "));
                return Err(Error::invalid("path", rule, format!("path={place}")));
            }
        };
        write_file(path, &bytes, FileKind::Model)
    }

    /// The bytes of the `.keras` file that [`save`](Self::save) writes, without blocking, as a browser needs it. The weights are
    /// those of the moment when it is first polled.
    ///
    /// # Errors
    /// Those of [`save`](Self::save).
    ///
    /// ```no_run
    /// # async fn copied(model: &wgpu_conv::model::Model) -> wgpu_conv::Result<wgpu_conv::model::Model> {
    /// let file = model.to_keras_async().await?;
    /// wgpu_conv::model::Model::from_bytes(model.gpu(), &file)
    /// # }
    /// ```
    #[cfg(feature = "keras")]
    pub async fn to_keras_async(&self) -> Result<Vec<u8>> {
        let weights: Vec<Variable> = self.weights().into_iter().map(|(_, weight)| weight.clone()).collect();
        let read = Variable::reading_all(self.gpu(), &weights.iter().collect::<Vec<_>>())?.await?;
        let values: HashMap<_, _> = weights.iter().map(|weight| Arc::as_ptr(weight.data())).zip(read).collect();
        let of = |layer: &Layer| {
            // Each weight of the model has been read.
            let known = |weight: &Variable| values.get(&Arc::as_ptr(weight.data())).cloned();
            layer.weights().iter().map(|weight| known(weight).map_or_else(|| weight.read(), Ok)).collect()
        };
        keras_write::keras(self, None, &of, self.name())
    }
}

/// Saves `model` with its `training` as a `.keras` file at `path`.
///
/// # Errors
/// Those of [`Model::save`].
#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
pub(crate) fn save_training(model: &Model, training: &super::TrainingState, path: &Path) -> Result<()> {
    let place = path.display().to_string();
    if !place.to_lowercase().ends_with(".keras") {
        let rule = "the name of a file with the state of a training must end in .keras";
        return Err(Error::invalid("path", rule, format!("path={place}")));
    }
    write_file(path, &keras_write::keras(model, Some(training), &Layer::get_weights, &place)?, FileKind::Model)
}

/// The layers of `model` in Keras's order.
#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
pub(crate) fn layers_in_order(model: &Model) -> Vec<&crate::layers::Layer> {
    places(model).into_iter().map(|(_, layer)| layer).collect()
}

/// The weights, for the model called `model`, in a file of any format.
#[cfg_attr(not(feature = "safetensors"), expect(unused_variables, reason = "only paths begin with the model's name"))]
fn weights(bytes: Vec<u8>, model: &str, place: &str) -> Result<Weights> {
    #[cfg(feature = "keras")]
    {
        let meter = Meter::new(place, bytes.len());
        if super::is_hdf5(&bytes) {
            return Weights::of(WeightsFile::open(bytes, place.to_owned(), meter)?);
        }
        if bytes.starts_with(b"PK") {
            let weights = Archive::open(&bytes, place, &meter)?.weights()?;
            return Weights::of(WeightsFile::open(weights, format!("{place}, model.weights.h5"), meter)?);
        }
    }
    #[cfg(feature = "safetensors")]
    return Ok(Weights::Named(super::safetensors::tensors(&bytes, place)?, model.to_owned()));
    #[cfg(not(feature = "safetensors"))]
    Err(Error::format(place, "neither an HDF5 file (.h5) nor a .keras file"))
}
