//! Config maps of optimizers, schedules, losses and metrics, as Keras writes and reads them.
//!
//! Each is `{"module", "class_name", "config", "registered_name"}`, or a bare name for the defaults. What is not known is an
//! error, never left out.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::{
    Auc, Confusion, Curve, Iou, Loss, LossClass, LossScaling, Metric, Optimizer, OptimizerClass, Reduction, Schedule,
    Summation,
};
use crate::{Error, Result};

/// What Keras keeps averages by where none are asked for.
const EMA_MOMENTUM: f64 = 0.99;

/// A config map that is being read: what is taken from it is noted, and what is left is an error.
struct Fields<'a> {
    class: &'a str,
    map: &'a Map<String, Json>,
    taken: RefCell<BTreeSet<&'a str>>,
}

impl<'a> Fields<'a> {
    fn of(kind: &'static str, json: &'a Json) -> Result<Self> {
        match (json["class_name"].as_str(), json["config"].as_object()) {
            (Some(class), Some(map)) => Ok(Self { class, map, taken: RefCell::default() }),
            _ => {
                let shown: String = json.to_string().chars().take(200).collect();
                let rule = format!("the config of a {kind} must be a name, or a map of class_name and config");
                Err(Error::invalid(kind, rule, shown))
            }
        }
    }

    fn get(&self, name: &str) -> Option<&'a Json> {
        let (name, value) = self.map.get_key_value(name)?;
        self.taken.borrow_mut().insert(name);
        if value.is_null() { None } else { Some(value) }
    }

    fn refused<T>(&self, name: &str, rule: &str, value: &Json) -> Result<T> {
        let shown: String = value.to_string().chars().take(200).collect();
        Err(Error::invalid("config", format!("{name} of {} must be {rule}", self.class), format!("{name}={shown}")))
    }

    fn number_if(&self, name: &str) -> Result<Option<f64>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => self.refused(name, "a number", value),
            },
        }
    }

    fn number(&self, name: &str, default: f64) -> Result<f64> {
        Ok(self.number_if(name)?.unwrap_or(default))
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => match value.as_bool() {
                Some(flag) => Ok(flag),
                None => self.refused(name, "true or false", value),
            },
        }
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.as_str() {
                Some(text) => Ok(Some(text)),
                None => self.refused(name, "a text", value),
            },
        }
    }

    /// A whole number, which may be written with a point (D3).
    fn integer_if<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let whole =
            value.as_i64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e15).map(|n| n as i64));
        match whole.and_then(|whole| T::try_from(whole).ok()) {
            Some(whole) => Ok(Some(whole)),
            None => self.refused(name, "a whole number in its range", value),
        }
    }

    fn integer<T: TryFrom<i64>>(&self, name: &str, default: T) -> Result<T> {
        Ok(self.integer_if(name)?.unwrap_or(default))
    }

    fn list<T>(&self, name: &str, item: impl Fn(&Json) -> Option<T>) -> Result<Option<Vec<T>>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        // One alone may stand without a list.
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        match items.iter().map(item).collect() {
            Some(list) => Ok(Some(list)),
            None => self.refused(name, "a list of numbers", value),
        }
    }

    /// What must be as Keras has it by default, since nothing else is computed here.
    fn only(&self, name: &str, allowed: &Json) -> Result<()> {
        match self.get(name) {
            Some(value) if value != allowed => Err(Error::unsupported(
                format!("{name}={} of {}", value.to_string().chars().take(200).collect::<String>(), self.class),
                format!("only {allowed} is computed here"),
            )),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// [`Error::Invalid`] for what has not been taken.
    fn finish(&self) -> Result<()> {
        let taken = self.taken.borrow();
        let left = self.map.iter().find(|(name, value)| !taken.contains(name.as_str()) && !value.is_null());
        match left.filter(|(name, _)| !["name", "dtype"].contains(&name.as_str())) {
            None => Ok(()),
            Some((name, value)) => {
                let shown: String = value.to_string().chars().take(200).collect();
                let rule = format!("{} must be given arguments that it has", self.class);
                Err(Error::invalid("config", rule, format!("{name}={shown}")))
            }
        }
    }
}

/// An argument of an optimizer or a loss where it is kept: what is read into, and what is written.
enum ConfigArgument<'a> {
    Number(&'a mut f64),
    Flag(&'a mut bool),
    Count(&'a mut u32),
    Axis(&'a mut i32),
    /// An axis that Keras's class does not have, for it is the last: written where it is another.
    AnyAxis(&'a mut i32),
    /// None is a value of it, and a missing one the default.
    NumberOrNone(&'a mut Option<f64>),
    ClassOrNone(&'a mut Option<i32>),
    AxesOrNone(&'a mut Option<Vec<i32>>),
    /// What is computed in this way alone.
    Only(Json),
}

impl ConfigArgument<'_> {
    /// Takes what `fields` has as `name`; without it the argument stays as it is.
    fn read(self, name: &'static str, fields: &Fields<'_>) -> Result<()> {
        match self {
            Self::Number(value) => *value = fields.number(name, *value)?,
            Self::Flag(value) => *value = fields.flag(name, *value)?,
            Self::Count(value) => *value = fields.integer(name, *value)?,
            Self::Axis(value) | Self::AnyAxis(value) => *value = fields.integer(name, *value)?,
            Self::NumberOrNone(value) if fields.map.contains_key(name) => *value = fields.number_if(name)?,
            Self::ClassOrNone(value) if fields.map.contains_key(name) => *value = fields.integer_if(name)?,
            Self::AxesOrNone(value) if fields.map.contains_key(name) => {
                *value = fields.list(name, |axis| axis.as_i64().and_then(|axis| i32::try_from(axis).ok()))?;
            }
            Self::NumberOrNone(_) | Self::ClassOrNone(_) | Self::AxesOrNone(_) => {}
            Self::Only(allowed) => fields.only(name, &allowed)?,
        }
        Ok(())
    }

    /// What Keras writes of it; `None` for nothing.
    fn written(self) -> Option<Json> {
        Some(match self {
            Self::Number(value) => json!(value),
            Self::Flag(value) => json!(value),
            Self::Count(value) => json!(value),
            Self::AnyAxis(-1) => return None,
            Self::Axis(value) | Self::AnyAxis(value) => json!(value),
            Self::NumberOrNone(value) => json!(value),
            Self::ClassOrNone(value) => json!(value),
            Self::AxesOrNone(value) => json!(value),
            Self::Only(value) => value,
        })
    }
}

fn serialized(module: &str, class: &str, config: Json) -> Json {
    json!({"module": module, "class_name": class, "config": config, "registered_name": null})
}

/// The name of a function that is written as such: `{"class_name": "function", "config": "mse"}`.
fn function(json: &Json) -> Option<&str> {
    json.as_str().or_else(|| json["config"].as_str().filter(|_| json["class_name"] == "function"))
}

impl Schedule {
    /// The schedule of a Keras config, or the constant one of a number.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a class or an argument that is not known.
    ///
    /// ```
    /// use wgpu_conv::training::Schedule;
    ///
    /// let halved = Schedule::ExponentialDecay { initial: 0.1, decay_steps: 10.0, decay_rate: 0.5, staircase: true };
    /// assert_eq!(Schedule::from_json(&halved.to_json())?, halved);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_json(json: &Json) -> Result<Self> {
        if let Some(rate) = json.as_f64() {
            return Ok(Self::Constant(rate));
        }
        let fields = Fields::of("learning_rate", json)?;
        let missing = f64::NAN;
        let initial = fields.number("initial_learning_rate", missing)?;
        let decay_steps = fields.number("decay_steps", missing)?;
        let staircase = fields.flag("staircase", false)?;
        let schedule = match fields.class {
            "ExponentialDecay" => Self::ExponentialDecay {
                initial,
                decay_steps,
                decay_rate: fields.number("decay_rate", missing)?,
                staircase,
            },
            "InverseTimeDecay" => Self::InverseTimeDecay {
                initial,
                decay_steps,
                decay_rate: fields.number("decay_rate", missing)?,
                staircase,
            },
            "PiecewiseConstantDecay" => Self::PiecewiseConstantDecay {
                boundaries: fields.list("boundaries", Json::as_f64)?.unwrap_or_default(),
                values: fields.list("values", Json::as_f64)?.unwrap_or_default(),
            },
            "PolynomialDecay" => Self::PolynomialDecay {
                initial,
                decay_steps,
                end: fields.number("end_learning_rate", 0.0001)?,
                power: fields.number("power", 1.0)?,
                cycle: fields.flag("cycle", false)?,
            },
            "CosineDecay" => Self::CosineDecay {
                initial,
                decay_steps,
                alpha: fields.number("alpha", 0.0)?,
                warmup_target: fields.number_if("warmup_target")?,
                warmup_steps: fields.number("warmup_steps", 0.0)?,
            },
            "CosineDecayRestarts" => Self::CosineDecayRestarts {
                initial,
                first_decay_steps: fields.number("first_decay_steps", missing)?,
                t_mul: fields.number("t_mul", 2.0)?,
                m_mul: fields.number("m_mul", 1.0)?,
                alpha: fields.number("alpha", 0.0)?,
            },
            class => {
                let rule = "a schedule must be one of ExponentialDecay, PiecewiseConstantDecay, PolynomialDecay, \
                            InverseTimeDecay, CosineDecay, CosineDecayRestarts (custom ones are not read)";
                return Err(Error::invalid("learning_rate", rule, format!("class_name={class}")));
            }
        };
        fields.finish()?;
        schedule.validate()?;
        Ok(schedule)
    }

    /// Its Keras config; a number for the constant one.
    pub fn to_json(&self) -> Json {
        let (class, name, config) = match self {
            Self::Constant(rate) => return json!(rate),
            Self::ExponentialDecay { initial, decay_steps, decay_rate, staircase } => (
                "ExponentialDecay",
                "ExponentialDecay",
                json!({"initial_learning_rate": initial, "decay_steps": steps(*decay_steps), "decay_rate": decay_rate, "staircase": staircase}),
            ),
            Self::InverseTimeDecay { initial, decay_steps, decay_rate, staircase } => (
                "InverseTimeDecay",
                "InverseTimeDecay",
                json!({"initial_learning_rate": initial, "decay_steps": steps(*decay_steps), "decay_rate": decay_rate, "staircase": staircase}),
            ),
            Self::PiecewiseConstantDecay { boundaries, values } => {
                let boundaries: Vec<Json> = boundaries.iter().map(|&boundary| steps(boundary)).collect();
                ("PiecewiseConstantDecay", "PiecewiseConstant", json!({"boundaries": boundaries, "values": values}))
            }
            Self::PolynomialDecay { initial, decay_steps, end, power, cycle } => (
                "PolynomialDecay",
                "PolynomialDecay",
                json!({"initial_learning_rate": initial, "decay_steps": steps(*decay_steps), "end_learning_rate": end, "power": power, "cycle": cycle}),
            ),
            Self::CosineDecay { initial, decay_steps, alpha, warmup_target, warmup_steps } => (
                "CosineDecay",
                "CosineDecay",
                json!({"initial_learning_rate": initial, "decay_steps": steps(*decay_steps), "alpha": alpha, "warmup_target": warmup_target, "warmup_steps": steps(*warmup_steps)}),
            ),
            Self::CosineDecayRestarts { initial, first_decay_steps, t_mul, m_mul, alpha } => (
                "CosineDecayRestarts",
                "SGDRDecay",
                json!({"initial_learning_rate": initial, "first_decay_steps": steps(*first_decay_steps), "t_mul": t_mul, "m_mul": m_mul, "alpha": alpha}),
            ),
        };
        serialized("keras.optimizers.schedules", class, named(config, name))
    }
}

/// A count of steps as Keras writes it: without a point where it is whole.
fn steps(count: f64) -> Json {
    if count.fract() == 0.0 && count.abs() < 1e15 { json!(count as i64) } else { json!(count) }
}

fn named(mut config: Json, name: &str) -> Json {
    config["name"] = json!(name);
    config
}

impl Optimizer {
    /// The optimizer of a Keras config, or of a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a class or an argument that is not known; [`Error::Unsupported`] for one that is not computed here.
    ///
    /// ```
    /// use wgpu_conv::training::{Optimizer, OptimizerClass};
    ///
    /// let sgd = Optimizer::new(OptimizerClass::Sgd { momentum: 0.9, nesterov: true }).learning_rate(0.1);
    /// assert_eq!(sgd.to_json()["config"]["momentum"], 0.9);
    /// assert_eq!(Optimizer::from_json(&sgd.to_json())?, sgd);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_json(json: &Json) -> Result<Self> {
        if let Some(name) = json.as_str() {
            return Self::from_name(name);
        }
        let fields = Fields::of("optimizer", json)?;
        if fields.class == "LossScaleOptimizer" {
            let LossScaling { initial_scale, dynamic_growth_steps } = LossScaling::default();
            let scaling = LossScaling {
                initial_scale: fields.number("initial_scale", initial_scale)?,
                dynamic_growth_steps: fields.integer("dynamic_growth_steps", dynamic_growth_steps)?,
            };
            let inner = fields.get("inner_optimizer").unwrap_or(&Json::Null);
            // Keras wrote these once, and took nothing else than their defaults.
            fields.only("use_ema", &json!(false))?;
            fields.only("ema_momentum", &json!(EMA_MOMENTUM))?;
            fields.finish()?;
            // The scale takes the place of a fixed one.
            let optimizer = Self { loss_scale_factor: None, ..Self::from_json(inner)?.loss_scaling(scaling) };
            optimizer.validate()?;
            return Ok(optimizer);
        }
        let mut optimizer = Self::from_name(fields.class)?;
        for (name, argument) in of_optimizer(&mut optimizer.class) {
            argument.read(name, &fields)?;
        }
        if let Some(rate) = fields.get("learning_rate") {
            optimizer.learning_rate = Schedule::from_json(rate)?;
        }
        // None is a value of it, and a missing one the default.
        if fields.map.contains_key("weight_decay") {
            optimizer.weight_decay = fields.number_if("weight_decay")?;
        }
        optimizer.clipnorm = fields.number_if("clipnorm")?;
        optimizer.global_clipnorm = fields.number_if("global_clipnorm")?;
        optimizer.clipvalue = fields.number_if("clipvalue")?;
        let momentum = fields.number("ema_momentum", EMA_MOMENTUM)?;
        let frequency = fields.integer_if("ema_overwrite_frequency")?;
        if fields.flag("use_ema", false)? {
            (optimizer.ema_momentum, optimizer.ema_overwrite_frequency) = (Some(momentum), frequency);
        }
        optimizer.loss_scale_factor = fields.number_if("loss_scale_factor")?;
        optimizer.gradient_accumulation_steps = fields.integer_if("gradient_accumulation_steps")?;
        fields.only("jit_compile", fields.map.get("jit_compile").unwrap_or(&Json::Null))?;
        fields.only("is_legacy_optimizer", &json!(false))?;
        fields.finish()?;
        optimizer.validate()?;
        Ok(optimizer)
    }

    /// Its Keras config. Names of weights that do not decay are none of it, in Keras as here.
    pub fn to_json(&self) -> Json {
        let (name, mut class) = (self.class_name(), self.class);
        let mut config = json!({
            "name": crate::layers::snake_case(name),
            "learning_rate": self.learning_rate.to_json(),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.ema_momentum.is_some(),
            "ema_momentum": self.ema_momentum.unwrap_or(EMA_MOMENTUM),
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        });
        for (argument, value) in of_optimizer(&mut class) {
            config[argument] = value.written().unwrap_or_default();
        }
        let inner = serialized("keras.optimizers", name, config);
        match self.loss_scaling {
            None => inner,
            Some(LossScaling { initial_scale, dynamic_growth_steps }) => {
                let config = json!({
                    "name": "loss_scale_optimizer",
                    "inner_optimizer": inner,
                    "initial_scale": initial_scale,
                    "dynamic_growth_steps": dynamic_growth_steps,
                });
                serialized("keras.optimizers", "LossScaleOptimizer", config)
            }
        }
    }
}

/// The arguments of a rule, by Keras's names.
fn of_optimizer(class: &mut OptimizerClass) -> Vec<(&'static str, ConfigArgument<'_>)> {
    use ConfigArgument::{Count, Flag, Number, NumberOrNone, Only};
    match class {
        OptimizerClass::Sgd { momentum, nesterov } => {
            vec![("momentum", Number(momentum)), ("nesterov", Flag(nesterov))]
        }
        OptimizerClass::RmsProp { rho, momentum, epsilon, centered } => vec![
            ("rho", Number(rho)),
            ("momentum", Number(momentum)),
            ("epsilon", Number(epsilon)),
            ("centered", Flag(centered)),
        ],
        OptimizerClass::Adam { beta_1, beta_2, epsilon, amsgrad } => vec![
            ("beta_1", Number(beta_1)),
            ("beta_2", Number(beta_2)),
            ("epsilon", Number(epsilon)),
            ("amsgrad", Flag(amsgrad)),
        ],
        OptimizerClass::Adamax { beta_1, beta_2, epsilon }
        | OptimizerClass::Nadam { beta_1, beta_2, epsilon }
        | OptimizerClass::Lamb { beta_1, beta_2, epsilon } => {
            vec![("beta_1", Number(beta_1)), ("beta_2", Number(beta_2)), ("epsilon", Number(epsilon))]
        }
        OptimizerClass::Adagrad { initial_accumulator_value, epsilon } => {
            vec![("initial_accumulator_value", Number(initial_accumulator_value)), ("epsilon", Number(epsilon))]
        }
        OptimizerClass::Adadelta { rho, epsilon } => vec![("rho", Number(rho)), ("epsilon", Number(epsilon))],
        OptimizerClass::Lion { beta_1, beta_2 } => vec![("beta_1", Number(beta_1)), ("beta_2", Number(beta_2))],
        OptimizerClass::Ftrl {
            learning_rate_power,
            initial_accumulator_value,
            l1_regularization_strength,
            l2_regularization_strength,
            l2_shrinkage_regularization_strength,
            beta,
        } => vec![
            ("learning_rate_power", Number(learning_rate_power)),
            ("initial_accumulator_value", Number(initial_accumulator_value)),
            ("l1_regularization_strength", Number(l1_regularization_strength)),
            ("l2_regularization_strength", Number(l2_regularization_strength)),
            ("l2_shrinkage_regularization_strength", Number(l2_shrinkage_regularization_strength)),
            ("beta", Number(beta)),
        ],
        OptimizerClass::Muon {
            adam_beta_1,
            adam_beta_2,
            adam_weight_decay,
            adam_lr_ratio,
            epsilon,
            momentum,
            nesterov,
            ns_steps,
            ns_coefficients: [a, b, c],
            rms_rate,
        } => vec![
            ("adam_beta_1", Number(adam_beta_1)),
            ("adam_beta_2", Number(adam_beta_2)),
            ("epsilon", Number(epsilon)),
            ("exclude_layers", Only(json!([]))),
            ("muon_a", Number(a)),
            ("muon_b", Number(b)),
            ("muon_c", Number(c)),
            ("adam_lr_ratio", Number(adam_lr_ratio)),
            ("momentum", Number(momentum)),
            ("ns_steps", Count(ns_steps)),
            ("nesterov", Flag(nesterov)),
            ("exclude_embeddings", Only(json!(true))),
            ("adam_weight_decay", NumberOrNone(adam_weight_decay)),
            ("rms_rate", NumberOrNone(rms_rate)),
        ],
    }
}

/// The arguments of a loss, by Keras's names.
fn of_loss(class: &mut LossClass) -> Vec<(&'static str, ConfigArgument<'_>)> {
    use ConfigArgument::{AnyAxis, AxesOrNone, Axis, ClassOrNone, Flag, Number};
    match class {
        LossClass::Huber { delta } => vec![("delta", Number(delta))],
        LossClass::CosineSimilarity { axis } => vec![("axis", Axis(axis))],
        LossClass::BinaryCrossentropy { from_logits, label_smoothing, axis }
        | LossClass::CategoricalCrossentropy { from_logits, label_smoothing, axis } => {
            vec![("from_logits", Flag(from_logits)), ("label_smoothing", Number(label_smoothing)), ("axis", Axis(axis))]
        }
        LossClass::BinaryFocalCrossentropy {
            apply_class_balancing,
            alpha,
            gamma,
            from_logits,
            label_smoothing,
            axis,
        } => vec![
            ("from_logits", Flag(from_logits)),
            ("label_smoothing", Number(label_smoothing)),
            ("axis", Axis(axis)),
            ("apply_class_balancing", Flag(apply_class_balancing)),
            ("alpha", Number(alpha)),
            ("gamma", Number(gamma)),
        ],
        LossClass::CategoricalFocalCrossentropy { alpha, gamma, from_logits, label_smoothing, axis } => vec![
            ("from_logits", Flag(from_logits)),
            ("label_smoothing", Number(label_smoothing)),
            ("axis", Axis(axis)),
            ("alpha", Number(alpha)),
            ("gamma", Number(gamma)),
        ],
        LossClass::SparseCategoricalCrossentropy { from_logits, ignore_class, axis } => vec![
            ("from_logits", Flag(from_logits)),
            ("ignore_class", ClassOrNone(ignore_class)),
            ("axis", AnyAxis(axis)),
        ],
        LossClass::CategoricalGeneralizedCrossEntropy { q } => vec![("q", Number(q))],
        LossClass::Dice { axis } => vec![("axis", AxesOrNone(axis))],
        LossClass::Tversky { alpha, beta, axis } => {
            vec![("alpha", Number(alpha)), ("beta", Number(beta)), ("axis", AxesOrNone(axis))]
        }
        _ => Vec::new(),
    }
}

impl Loss {
    /// The loss of a Keras config, or of a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a class or an argument that is not known.
    ///
    /// ```
    /// use wgpu_conv::training::{Loss, LossClass, Reduction};
    ///
    /// let huber = Loss::new(LossClass::Huber { delta: 0.5 }).reduction(Reduction::Sum);
    /// assert_eq!(Loss::from_json(&huber.to_json())?, huber);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_json(json: &Json) -> Result<Self> {
        if let Some(name) = function(json) {
            return Self::from_name(name);
        }
        let fields = Fields::of("loss", json)?;
        let loss = Self::of_fields(&fields)?;
        fields.finish()?;
        loss.validate()?;
        Ok(loss)
    }

    fn of_fields(fields: &Fields<'_>) -> Result<Self> {
        // The metric of this loss has a longer name.
        let mut loss = Self::from_name(if fields.class == "LogCoshError" { "LogCosh" } else { fields.class })?;
        if let Some(reduction) = fields.text("reduction")? {
            loss.reduction = Reduction::from_name(reduction)?;
        } else if fields.map.get("reduction").is_some_and(Json::is_null) {
            loss.reduction = Reduction::None;
        }
        for (name, argument) in of_loss(&mut loss.class) {
            argument.read(name, fields)?;
        }
        Ok(loss)
    }

    /// Its Keras config.
    pub fn to_json(&self) -> Json {
        let reduction = match self.reduction {
            Reduction::SumOverBatchSize => "sum_over_batch_size",
            Reduction::Sum => "sum",
            Reduction::MeanWithSampleWeight => "mean_with_sample_weight",
            Reduction::None => "none",
        };
        let name = match self.class {
            LossClass::Huber { .. } => "huber_loss".to_owned(),
            _ => crate::layers::snake_case(self.name()),
        };
        let mut config = json!({"name": name, "reduction": reduction});
        for (argument, value) in self.arguments() {
            config[argument] = value;
        }
        serialized("keras.losses", self.name(), config)
    }

    /// The arguments that Keras writes.
    fn arguments(&self) -> Vec<(&'static str, Json)> {
        let mut class = self.class.clone();
        let all = of_loss(&mut class).into_iter();
        all.filter_map(|(name, argument)| Some((name, argument.written()?))).collect()
    }
}

impl Metric {
    /// The metric of a Keras config, or of a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a class or an argument that is not known; [`Error::Unsupported`] for one that is not computed here.
    ///
    /// ```
    /// use wgpu_conv::training::{Auc, Curve, Metric};
    ///
    /// let area = Metric::Auc(Auc { curve: Curve::Pr, ..Auc::default() }).named("area");
    /// assert_eq!(Metric::from_json(&area.to_json())?, area);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_json(json: &Json) -> Result<Self> {
        if let Some(name) = function(json) {
            return Self::from_name(name);
        }
        let fields = Fields::of("metric", json)?;
        let one_threshold = |default: f64| -> Result<f64> {
            let all = fields.list("thresholds", Json::as_f64)?.unwrap_or_else(|| vec![default]);
            match all[..] {
                [one] => Ok(one),
                _ => Err(Error::unsupported(
                    format!("{} thresholds of {}", all.len(), fields.class),
                    "a metric is one number here; take one for each threshold",
                )),
            }
        };
        let class_id = || fields.integer_if("class_id");
        let classes = || fields.integer("num_classes", 0);
        let iou = |classes, ids, sparse_y_true, sparse_y_pred| -> Result<Iou> {
            fields.only("axis", &json!(-1))?;
            Ok(Iou {
                ignore_class: fields.integer_if("ignore_class")?,
                sparse_y_true: fields.flag("sparse_y_true", sparse_y_true)?,
                sparse_y_pred: fields.flag("sparse_y_pred", sparse_y_pred)?,
                ..Iou::new(classes, ids)
            })
        };
        let ids = || {
            let ids = fields.list("target_class_ids", |id| id.as_u64().and_then(|id| u32::try_from(id).ok()))?;
            Result::Ok(ids.unwrap_or_default())
        };
        let metric = match fields.class {
            "BinaryAccuracy" => Self::BinaryAccuracy { threshold: fields.number("threshold", 0.5)? },
            "TopKCategoricalAccuracy" => Self::TopKCategoricalAccuracy { k: fields.integer("k", 5)? },
            "SparseTopKCategoricalAccuracy" => {
                fields.only("from_sorted_ids", &json!(false))?;
                Self::SparseTopKCategoricalAccuracy { k: fields.integer("k", 5)? }
            }
            "Precision" | "Recall" => {
                fields.only("top_k", &Json::Null)?;
                let (threshold, class_id) = (one_threshold(0.5)?, class_id()?);
                match fields.class {
                    "Precision" => Self::Precision { threshold, class_id },
                    _ => Self::Recall { threshold, class_id },
                }
            }
            "AUC" => {
                let Auc { num_thresholds, curve, summation_method, from_logits } = Auc::default();
                fields.only("multi_label", &json!(false))?;
                for name in ["num_labels", "label_weights", "thresholds"] {
                    fields.only(name, &Json::Null)?;
                }
                Self::Auc(Auc {
                    num_thresholds: fields.integer("num_thresholds", num_thresholds)?,
                    curve: match fields.text("curve")? {
                        None => curve,
                        Some("ROC" | "roc") => Curve::Roc,
                        Some("PR" | "pr") => Curve::Pr,
                        Some(other) => return fields.refused("curve", "ROC or PR", &json!(other)),
                    },
                    summation_method: match fields.text("summation_method")? {
                        None => summation_method,
                        Some("interpolation" | "Interpolation") => Summation::Interpolation,
                        Some("minoring" | "Minoring") => Summation::Minoring,
                        Some("majoring" | "Majoring") => Summation::Majoring,
                        Some(other) => {
                            let rule = "interpolation, minoring or majoring";
                            return fields.refused("summation_method", rule, &json!(other));
                        }
                    },
                    from_logits: fields.flag("from_logits", from_logits)?,
                })
            }
            "IoU" => Self::Iou(iou(classes()?, ids()?, true, true)?),
            "MeanIoU" => Self::Iou(iou(classes()?, Vec::new(), true, true)?),
            "OneHotIoU" => Self::Iou(iou(classes()?, ids()?, false, false)?),
            "OneHotMeanIoU" => Self::Iou(iou(classes()?, Vec::new(), false, false)?),
            "BinaryIoU" => {
                let mut iou = Iou::binary(fields.number("threshold", 0.5)?);
                if fields.map.contains_key("target_class_ids") {
                    iou.target_class_ids = ids()?;
                }
                Self::Iou(iou)
            }
            class if Confusion::ALL.iter().any(|of| of.class_name() == class) => match Self::from_name(class)? {
                Self::Count { of, threshold } => Self::Count { of, threshold: one_threshold(threshold)? },
                other => other,
            },
            class => match Self::from_name(if class == "LogCoshError" { "LogCosh" } else { class })? {
                Self::Loss(_) => Self::Loss(Loss::of_fields(&fields)?),
                other => other,
            },
        };
        let name = fields.text("name")?;
        fields.finish()?;
        metric.validate()?;
        Ok(match name {
            Some(name) if name != metric.name() => metric.named(name),
            _ => metric,
        })
    }

    /// Its Keras config; the bare name for [`Accuracy`](Self::Accuracy), which Keras understands by what it is applied to.
    pub fn to_json(&self) -> Json {
        let (class, arguments): (&str, Vec<(&str, Json)>) = match self {
            Self::Accuracy => return json!("accuracy"),
            Self::Named { name, metric } => {
                let mut json = metric.to_json();
                match json.get_mut("config") {
                    Some(config) => config["name"] = json!(name),
                    // Of names Keras knows but these two.
                    None => return json!(if name == "acc" { "acc" } else { "accuracy" }),
                }
                return json;
            }
            Self::BinaryAccuracy { threshold } => ("BinaryAccuracy", vec![("threshold", json!(threshold))]),
            Self::CategoricalAccuracy => ("CategoricalAccuracy", vec![]),
            Self::SparseCategoricalAccuracy => ("SparseCategoricalAccuracy", vec![]),
            Self::TopKCategoricalAccuracy { k } => ("TopKCategoricalAccuracy", vec![("k", json!(k))]),
            Self::SparseTopKCategoricalAccuracy { k } => ("SparseTopKCategoricalAccuracy", vec![("k", json!(k))]),
            Self::RootMeanSquaredError => ("RootMeanSquaredError", vec![]),
            Self::Count { of, threshold } => (of.class_name(), vec![("thresholds", json!(threshold))]),
            Self::Precision { threshold, class_id } => (
                "Precision",
                vec![("thresholds", json!(threshold)), ("top_k", Json::Null), ("class_id", json!(class_id))],
            ),
            Self::Recall { threshold, class_id } => {
                ("Recall", vec![("thresholds", json!(threshold)), ("top_k", Json::Null), ("class_id", json!(class_id))])
            }
            Self::Auc(Auc { num_thresholds, curve, summation_method, from_logits }) => {
                let curve = match curve {
                    Curve::Roc => "ROC",
                    Curve::Pr => "PR",
                };
                let summation = match summation_method {
                    Summation::Interpolation => "interpolation",
                    Summation::Minoring => "minoring",
                    Summation::Majoring => "majoring",
                };
                let arguments = vec![
                    ("num_thresholds", json!(num_thresholds)),
                    ("curve", json!(curve)),
                    ("summation_method", json!(summation)),
                    ("multi_label", json!(false)),
                    ("num_labels", Json::Null),
                    ("label_weights", Json::Null),
                    ("from_logits", json!(from_logits)),
                ];
                ("AUC", arguments)
            }
            Self::Iou(iou) => {
                let ids = ("target_class_ids", json!(iou.target_class_ids));
                if let Some(threshold) = iou.threshold {
                    ("BinaryIoU", vec![ids, ("threshold", json!(threshold))])
                } else {
                    let mut arguments = vec![
                        ("num_classes", json!(iou.num_classes)),
                        ("ignore_class", json!(iou.ignore_class)),
                        ("sparse_y_pred", json!(iou.sparse_y_pred)),
                        ("axis", json!(-1)),
                    ];
                    let some = !iou.target_class_ids.is_empty();
                    arguments.extend(some.then_some(ids));
                    arguments.extend(iou.sparse_y_true.then(|| ("sparse_y_true", json!(true))));
                    let class = match (iou.sparse_y_true, some) {
                        (true, true) => "IoU",
                        (true, false) => "MeanIoU",
                        (false, true) => "OneHotIoU",
                        (false, false) => "OneHotMeanIoU",
                    };
                    (class, arguments)
                }
            }
            Self::Loss(loss) => {
                let class = if loss.class == LossClass::LogCosh { "LogCoshError" } else { loss.name() };
                (class, loss.arguments())
            }
        };
        let mut config = json!({"name": self.name()});
        for (argument, value) in arguments {
            config[argument] = value;
        }
        serialized("keras.metrics", class, config)
    }
}
