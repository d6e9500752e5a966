//! ONNX files of kinds that were computed wrongly, or refused though they need not be: right, or refused with the reason.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use std::path::{Path, PathBuf};

use common::fixtures;
use prost::Message;
use wgpu_conv::formats::OnnxFile;
use wgpu_conv::model::{Functional, Model};
use wgpu_conv::training::{Loss, Optimizer, Trainer};
use wgpu_conv::{Commands, Error, HostTensor, Shape, Tensor as Tensor32};

/// What a file comes to: outputs within a deviation, or a refusal that says so.
enum Right {
    Within(f64),
    Refused(&'static str),
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/findings/onnx").join(name)
}

#[test]
fn every_file_is_right_or_refused_with_its_reason() {
    use Right::{Refused, Within};
    let Some(gpu) = gpu::gpu() else { return };
    let mut wrong = Vec::new();
    for (name, right) in [
        ("clip_computed_min", Within(1e-5)),
        ("dequantized_weight", Within(1e-5)),
        ("div_no_nan", Within(1e-5)),
        ("end_alone", Within(0.0)),
        ("end_further", Within(1e-6)),
        ("end_in_branch", Within(1e-6)),
        ("end_none", Within(0.0)),
        ("end_selected", Within(0.0)),
        ("end_selected_in_order", Within(0.0)),
        ("end_shares_of_old", Within(1e-6)),
        ("end_some", Within(0.0)),
        ("end_suppressed", Within(1e-6)),
        ("end_suppressed_by_centre", Within(1e-6)),
        ("end_unread", Within(0.0)),
        ("external_data", Within(1e-5)),
        ("gemm_constant_input", Within(1e-5)),
        ("integer_input", Within(1e-5)),
        ("onnx_bn7_five_outputs", Refused("training")),
        ("redefine", Refused("must be made once")),
        ("cos_int", Refused("budget")),
        ("reduce300", Refused("budget")),
        ("reshape_one_unknown", Within(1e-5)),
        ("resize_keep_aspect_not_larger_linear", Within(1e-5)),
        ("resize_keep_aspect_not_larger_nearest", Within(0.0)),
        ("resize_scale_1_3", Within(0.0)),
    ] {
        let model = Model::load(&gpu, fixture(&format!("{name}.onnx")));
        match (model, right) {
            (Err(error), Refused(reason)) if error.to_string().contains(reason) => {}
            (Ok(_), Refused(reason)) => wrong.push(format!("{name}: loaded, and must be refused with {reason:?}")),
            (Err(error), _) => wrong.push(format!("{name}: {error}")),
            (Ok(model), Within(most)) => match deviation(&model, name) {
                Ok(dev) if dev <= most => {}
                Ok(dev) => wrong.push(format!("{name}: deviates by {dev:e}")),
                Err(why) => wrong.push(format!("{name}: {why}")),
            },
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// How far the model's outputs are from those beside the file.
fn deviation(model: &Model, name: &str) -> Result<f64, String> {
    let tensors = fixtures::tensors(&fixture(&format!("{name}.safetensors")))?;
    let host = |key: &str| {
        let array = tensors.get(key).ok_or_else(|| format!("there is no {key}"))?;
        let values = array.data.iter().map(|&value| value as f32).collect();
        Ok::<_, String>(HostTensor { shape: array.shape.as_slice().into(), values })
    };
    let inputs =
        (0..model.inputs().len()).map(|index| host(&format!("input_{index}"))).collect::<Result<Vec<_>, _>>()?;
    let outputs = model.predict_all(&inputs).map_err(|error| error.to_string())?;
    let mut most = 0.0f64;
    for (index, output) in outputs.iter().enumerate() {
        let expected = host(&format!("expected_{index}"))?;
        if output.shape != expected.shape {
            return Err(format!("output {index} has the shape {}, and must have {}", output.shape, expected.shape));
        }
        let expected: Vec<f64> = expected.values.iter().map(|&value| value.into()).collect();
        most = most.max(fixtures::dev(&output.values, &expected));
    }
    Ok(most)
}

/// What a model is asked for that ends on the host, as the extents of its outputs depend on values.
#[test]
fn models_that_end_on_the_host_say_where_they_cannot_be() {
    let Some(gpu) = gpu::gpu() else { return };
    let load = || Model::load(&gpu, fixture("end_some.onnx")).unwrap();
    let model = load();
    assert!(model.ends_on_host() && model.output_count() == 2);
    let x = Tensor32::from_slice(&gpu, [1, 4], &[-1.5, 0.5, 2.5, -0.5]).unwrap();
    let outputs = model.call_all(std::slice::from_ref(&x)).unwrap();
    assert_eq!(outputs.iter().map(|output| output.read::<f32>().unwrap()).collect::<Vec<_>>(), [[2.5], [2.0]]);
    let host = HostTensor::new([1, 4], vec![0.0; 4]).unwrap();
    let mut commands = Commands::new(&gpu);
    let outer = Functional::new(&gpu);
    let input = outer.input("image", [None, Some(4)]).unwrap();
    let (optimizer, loss) = (Optimizer::from_name("sgd").unwrap(), Loss::from_name("mean_squared_error").unwrap());
    let trained = Trainer::new(&model, optimizer, &[loss], &[]);
    let refusals = [
        model.record(&mut commands, &[x]).err(),
        model.predict(&host).err(),
        trained.err(),
        outer.apply_model(load(), &[&input]).err(),
        model.save(std::env::temp_dir().join("wgpu-conv-ends-on-host.keras")).err(),
    ];
    for (place, error) in refusals.into_iter().enumerate() {
        let text = error.unwrap_or_else(|| panic!("refusal {place}")).to_string();
        assert!(text.contains("computed on the host") || text.contains("one output"), "{place}: {text}");
    }
    // A layer cannot read what the host makes.
    let file = OnnxFile::open(fixture("end_selected.onnx")).unwrap();
    assert!(file.on_host().any(|(_, operator)| operator == "Unique"), "{file:?}");
    let cut = file.with_outputs(&["size"]).unwrap();
    assert_eq!(cut.on_host().count(), 0);
    assert!(!cut.build(&gpu).unwrap().ends_on_host());
}

/// What nothing reads is no end, whatever it is; what is read and not there is told.
#[test]
fn an_end_is_what_leads_to_an_output() {
    let Some(gpu) = gpu::gpu() else { return };
    let nodes = |last: &str| {
        let selected = node("NonZero", &["x"], &["where"], vec![]);
        let cast = node("Cast", &["where"], &["floats"], vec![int("to", 1)]);
        vec![selected, cast, node("Erf", &["floats"], &[last], vec![]), node("Relu", &["x"], &["r"], vec![])]
    };
    let mut unread = file(17, nodes("unread"), vec![]);
    unread.graph.as_mut().unwrap().output = vec![value("r", &[])];
    let read = OnnxFile::from_bytes(&unread.encode_to_vec()).unwrap();
    assert_eq!((read.unsupported(), read.on_host().count()), (&[][..], 0));
    assert!(!read.build(&gpu).unwrap().ends_on_host());
    let text = refusal(&file(17, nodes("y"), vec![]));
    assert!(text.starts_with("Erf_2 (Erf): ") && text.contains("the host has no Erf"), "{text}");
    let model = Model::load(&gpu, fixture("end_in_branch.onnx")).unwrap();
    assert!(model.on_host().iter().any(|(_, operator)| operator == "If"), "{:?}", model.on_host());
    assert!(model.summary().contains("Computed on the host, of what these layers make:\n   If_1 (If), "));
    let failing = Model::load(&gpu, fixture("end_failing.onnx")).unwrap();
    let x = HostTensor::new([1, 4], vec![0.0, 1.0, 2.0, 0.0]).unwrap();
    let text = failing.predict_all(&[x]).unwrap_err().to_string();
    assert!(text.contains("of what follows the model on the host") && text.contains("Gather_1 (Gather)"), "{text}");
}

// The fields of an ONNX file that the tests below write, with the numbers `onnx/onnx.proto` gives them.

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<Function>,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "4")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    output: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    node: Vec<Node>,
    #[prost(message, repeated, tag = "9")]
    opset_import: Vec<OperatorSet>,
    #[prost(string, tag = "10")]
    domain: String,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<Value>,
}

/// An application of an operator.
#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
    #[prost(string, tag = "7")]
    domain: String,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, optional, tag = "2")]
    f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    s: Option<Vec<u8>>,
    #[prost(int64, repeated, tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    r#type: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(float, repeated, tag = "4")]
    float_data: Vec<f32>,
    #[prost(int64, repeated, tag = "7")]
    int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(message, repeated, tag = "13")]
    external: Vec<Entry>,
    #[prost(int32, tag = "14")]
    location: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Dims>,
}

#[derive(Clone, PartialEq, Message)]
struct Dims {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
struct Dim {
    #[prost(int64, optional, tag = "1")]
    value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
}

/// An input of floats; negative extents are unknown.
fn value(name: &str, dims: &[i64]) -> Value {
    let dim = dims.iter().map(|&dim| Dim { value: (dim >= 0).then_some(dim), name: None }).collect();
    let tensor = Some(TensorType { elem_type: 1, shape: Some(Dims { dim }) });
    Value { name: name.into(), r#type: Some(Type { tensor }) }
}

fn node(operator: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<Attribute>) -> Node {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let (input, output) = (owned(inputs), owned(outputs));
    Node { input, output, op_type: operator.into(), attribute, ..Node::default() }
}

fn int(name: &str, i: i64) -> Attribute {
    Attribute { name: name.into(), i: Some(i), r#type: 2, ..Attribute::default() }
}

fn floats(name: &str, dims: &[i64], value: f32) -> Tensor {
    let float_data = vec![value; dims.iter().product::<i64>() as usize];
    Tensor { name: name.into(), dims: dims.to_vec(), data_type: 1, float_data, ..Tensor::default() }
}

fn ints(name: &str, values: &[i64]) -> Tensor {
    let (dims, int64_data) = (vec![values.len() as i64], values.to_vec());
    Tensor { name: name.into(), dims, data_type: 7, int64_data, ..Tensor::default() }
}

/// A file of one input `x` of shape (1, 2, 4, 4) and the output `y`.
fn file(opset: i64, node: Vec<Node>, initializer: Vec<Tensor>) -> File {
    let (input, output) = (vec![value("x", &[1, 2, 4, 4])], vec![value("y", &[])]);
    let graph = Graph { node, name: "g".into(), initializer, input, output };
    let opset_import = vec![OperatorSet { domain: String::new(), version: opset }];
    File { ir_version: 8, graph: Some(graph), opset_import, functions: vec![] }
}

/// Why the file is refused, or what of it would be; empty where nothing stands in its way.
fn refusal(file: &File) -> String {
    match OnnxFile::from_bytes(&file.encode_to_vec()) {
        Err(error) => error.to_string(),
        Ok(file) => file.unsupported().iter().map(|node| format!("{node}\n")).collect(),
    }
}

#[test]
fn nothing_that_changes_a_nodes_meaning_is_ignored() {
    let statistics = || ["g", "b", "m", "v"].map(|name| floats(name, &[2], 1.0)).to_vec();
    let normalized = |outputs: &[&str], attributes| {
        vec![node("BatchNormalization", &["x", "g", "b", "m", "v"], outputs, attributes)]
    };
    let five = ["y", "m2", "v2", "m3", "v3"];
    let rows = [
        // Training, in the words of each opset.
        ("five outputs", file(7, normalized(&five, vec![]), statistics()), "training"),
        ("two outputs", file(9, normalized(&["y", "m2"], vec![]), statistics()), "training"),
        ("training mode", file(15, normalized(&["y"], vec![int("training_mode", 1)]), statistics()), "training"),
        ("no test", file(6, normalized(&["y"], vec![]), statistics()), "training"),
        ("a test", file(6, normalized(&["y"], vec![int("is_test", 1)]), statistics()), ""),
        ("inference", file(15, normalized(&["y"], vec![int("training_mode", 0)]), statistics()), ""),
        ("unnamed outputs", file(9, normalized(&["y", "", ""], vec![]), statistics()), ""),
        ("dropout, no test", file(6, vec![node("Dropout", &["x"], &["y"], vec![])], vec![]), "random"),
        ("dropout, a test", file(6, vec![node("Dropout", &["x"], &["y"], vec![int("is_test", 1)])], vec![]), ""),
        ("dropout", file(7, vec![node("Dropout", &["x"], &["y", "mask"], vec![])], vec![]), ""),
        // Outputs, inputs and attributes.
        (
            "indices that are read",
            file(13, vec![pool(&["p", "i"]), node("Add", &["p", "i"], &["y"], vec![])], vec![]),
            "",
        ),
        (
            "an index beyond the output",
            file(13, vec![unpool(&["x", "k"])], vec![Tensor { dims: vec![1, 2, 4, 4], ..ints("k", &[200; 32]) }]),
            "its index 200 is none of the 128 positions",
        ),
        (
            "a shape that moves where indices count",
            file(
                13,
                vec![unpool(&["x", "k", "shape"])],
                vec![Tensor { dims: vec![1, 2, 4, 4], ..ints("k", &[2; 32]) }, ints("shape", &[1, 2, 9, 9])],
            ),
            "counts its indices in output_shape",
        ),
        ("indices that are not", file(13, vec![pool(&["y", "i"])], vec![]), ""),
        ("a second output", file(13, vec![node("Relu", &["x"], &["y", "z"], vec![])], vec![]), "output \"z\""),
        ("a second input", file(13, vec![node("Relu", &["x", "x"], &["y"], vec![])], vec![]), "input \"x\""),
        ("an unknown attribute", file(13, vec![node("Relu", &["x"], &["y"], vec![int("depth", 1)])], vec![]), "depth"),
        (
            "an attribute of another type",
            file(13, vec![node("Softmax", &["x"], &["y"], vec![number("axis", 1.0)])], vec![]),
            "another type",
        ),
        (
            "an attribute twice",
            file(13, vec![node("Softmax", &["x"], &["y"], vec![int("axis", 1), int("axis", 2)])], vec![]),
            "twice",
        ),
        // Operators of the file's own, in place of those of their names.
        ("a function", calling(&["a"], &["b"], vec![node("Abs", &["a"], &["b"], vec![])], 13), ""),
        ("a function that passes on", calling(&["a"], &["a"], vec![], 13), ""),
        ("a function that makes less", calling(&["a"], &[], vec![], 13), "more inputs or outputs"),
        ("a function that takes less", calling(&[], &["b"], vec![], 13), "more inputs or outputs"),
        ("a function that makes nothing", calling(&["a"], &["b"], vec![], 13), "nothing makes"),
        (
            "a function that calls itself",
            calling(&["a"], &["b"], vec![call("Relu", &["a"], &["b"], OWN)], 13),
            "calls itself",
        ),
        ("a function of another opset", calling(&["a"], &["b"], vec![node("Abs", &["a"], &["b"], vec![])], 14), ""),
        (
            "a function of an opset that is not read",
            calling(&["a"], &["b"], vec![node("Abs", &["a"], &["b"], vec![])], 99),
            "defines the operator itself, by an opset that is not read",
        ),
    ];
    for (name, file, reason) in rows {
        let refused = refusal(&file);
        let right = if reason.is_empty() { refused.is_empty() } else { refused.contains(reason) };
        assert!(right, "{name}: {refused:?}");
    }
    let mut two = file(13, vec![node("Relu", &["x"], &["y"], vec![])], vec![]);
    two.opset_import.push(OperatorSet { domain: "ai.onnx".into(), version: 12 });
    assert!(refusal(&two).contains("two versions"), "{}", refusal(&two));
}

/// A file that defines Relu itself in a domain of its own, for the opset of this number, and calls it.
fn calling(input: &[&str], output: &[&str], node: Vec<Node>, version: i64) -> File {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let opset_import = vec![OperatorSet { domain: String::new(), version }];
    let (name, domain) = ("Relu".into(), OWN.into());
    let function = Function { name, input: owned(input), output: owned(output), node, opset_import, domain };
    File { functions: vec![function], ..file(13, vec![call("Relu", &["x"], &["y"], OWN)], vec![]) }
}

const OWN: &str = "own";

/// A call of an operator of a domain.
fn call(operator: &str, inputs: &[&str], outputs: &[&str], domain: &str) -> Node {
    Node { domain: domain.into(), ..node(operator, inputs, outputs, vec![]) }
}

/// An operator that is known means what it does, whatever function of the file has its name: onnxruntime 1.32's choice.
#[test]
fn known_operators_stand_before_functions_of_their_name() {
    let Some(gpu) = gpu::gpu() else { return };
    let x: Vec<f32> = (-16..16).map(|place| place as f32).collect();
    let defined = |name: &str, of_function: &str, of_call: &str| {
        let mut file = calling(&["a"], &["b"], vec![node("Neg", &["a"], &["b"], vec![])], 13);
        file.functions[0].name = name.into();
        file.functions[0].domain = of_function.into();
        file.graph.as_mut().unwrap().node = vec![call(name, &["x"], &["y"], of_call)];
        file
    };
    let relu: Vec<f32> = x.iter().map(|x| x.max(0.0)).collect();
    let negative: Vec<f32> = x.iter().map(|x| -x).collect();
    for (of_function, of_call) in [("", ""), ("ai.onnx", ""), ("", "ai.onnx"), ("ai.onnx", "ai.onnx")] {
        assert_eq!(computed(&gpu, &defined("Relu", of_function, of_call), &x), relu, "{of_function} {of_call}");
        let unknown = refusal(&defined("MyRelu", of_function, of_call));
        assert!(unknown.contains("a domain of its own"), "{unknown}");
    }
    let gelu = computed(&gpu, &defined("Gelu", "com.microsoft", "com.microsoft"), &x);
    assert!((gelu[15] - -0.158_655_26).abs() < 1e-6, "{gelu:?}");
    for (name, domain) in [("Relu", OWN), ("MyRelu", "com.microsoft")] {
        assert_eq!(computed(&gpu, &defined(name, domain, domain), &x), negative, "{name}");
    }
}

/// A function's nodes mean what its own opset says, also where it stands in another: before opset 13 a softmax worked over all axes
/// from one on, together. So does ONNX's inliner convert them; onnxruntime 1.32 reads them by the file's opset, and ONNX's checker
/// refuses such a file.
#[test]
fn functions_keep_their_opset() {
    let Some(gpu) = gpu::gpu() else { return };
    let x: Vec<f32> = (0..32).map(|place| (place * 7 % 5) as f32 / 2.0).collect();
    let exponentials: Vec<f32> = x.iter().map(|x| x.exp()).collect();
    let all: f32 = exponentials.iter().sum();
    let together: Vec<f32> = exponentials.iter().map(|e| e / all).collect();
    let of_two = |at: usize| exponentials[at] / (exponentials[at % 16] + exponentials[at % 16 + 16]);
    let apart: Vec<f32> = (0..32).map(of_two).collect();
    let softmax = || vec![node("Softmax", &["a"], &["b"], vec![int("axis", 1)])];
    for version in [11, 13] {
        for opset in [12, 17] {
            let mut file = File {
                opset_import: file(opset, vec![], vec![]).opset_import,
                ..calling(&["a"], &["b"], softmax(), version)
            };
            let expected = if version < 13 { &together } else { &apart };
            for within in [false, true] {
                if within {
                    let outer =
                        calling(&["c"], &["d"], vec![call("Relu", &["c"], &["d"], OWN)], opset).functions.remove(0);
                    file.functions.push(Function { name: "Outer".into(), ..outer });
                    file.graph.as_mut().unwrap().node = vec![call("Outer", &["x"], &["y"], OWN)];
                }
                let made = computed(&gpu, &file, &x);
                let off = made.iter().zip(expected).map(|(made, right)| (made - right).abs()).fold(0.0, f32::max);
                assert!(off < 1e-6, "opset {version} in {opset}, within another: {within}: {made:?}");
            }
        }
    }
}

/// Functions that call the next one each, so deep that they would leave no stack, and two of one name.
#[test]
fn functions_stand_in_a_hundred_others_at_most() {
    let chain = |count: usize| {
        let name = |at: usize| format!("F{at}");
        let of = |at: usize| {
            let called = match at + 1 < count {
                true => call(&name(at + 1), &["a"], &["b"], OWN),
                false => node("Abs", &["a"], &["b"], vec![]),
            };
            Function { name: name(at), ..calling(&["a"], &["b"], vec![called], 13).functions.remove(0) }
        };
        File { functions: (0..count).map(of).collect(), ..file(13, vec![call("F0", &["x"], &["y"], OWN)], vec![]) }
    };
    assert_eq!(refusal(&chain(100)), "");
    for count in [101, 20_000] {
        assert!(refusal(&chain(count)).contains("more than 100 functions"), "{}", refusal(&chain(count)));
    }
    let mut twice = chain(2);
    twice.functions.push(chain(1).functions.remove(0));
    assert!(refusal(&twice).contains("defines the operator F0 twice"), "{}", refusal(&twice));
}

/// Functions that double what they call, each the next: a small file of as many nodes as no memory holds.
#[test]
fn functions_cannot_ask_for_more_than_they_are() {
    let name = |number: usize| format!("f{number}");
    let functions = (0..40).map(|number| {
        let inner = name(number + 1);
        let calls = vec![call(&inner, &["a"], &["m"], OWN), call(&inner, &["m"], &["b"], OWN)];
        Function {
            name: name(number),
            input: vec!["a".into()],
            output: vec!["b".into()],
            node: calls,
            opset_import: vec![],
            domain: OWN.into(),
        }
    });
    let file = File { functions: functions.collect(), ..file(13, vec![call("f0", &["x"], &["y"], OWN)], vec![]) };
    let error = OnnxFile::from_bytes(&file.encode_to_vec()).unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error}");
}

fn pool(outputs: &[&str]) -> Node {
    let size = Attribute { name: "kernel_shape".into(), ints: vec![2, 2], r#type: 7, ..Attribute::default() };
    node("MaxPool", &["x"], outputs, vec![size])
}

fn unpool(inputs: &[&str]) -> Node {
    let pairs = |name: &str| Attribute { name: name.into(), ints: vec![2, 2], r#type: 7, ..Attribute::default() };
    node("MaxUnpool", inputs, &["y"], vec![pairs("kernel_shape"), pairs("strides")])
}

fn number(name: &str, f: f32) -> Attribute {
    Attribute { name: name.into(), f: Some(f), r#type: 1, ..Attribute::default() }
}

/// A writer may leave out a 0: an axis that is said to be there is 0, and not the operator's default.
#[test]
fn an_attribute_without_its_number_is_zero() {
    let axis = Attribute { name: "axis".into(), r#type: 2, ..Attribute::default() };
    let file = file(13, vec![node("Flatten", &["x"], &["y"], vec![axis])], vec![]);
    let architecture = OnnxFile::from_bytes(&file.encode_to_vec()).unwrap().architecture().unwrap();
    assert_eq!(architecture.layers()[0].output_shape.to_string(), "(1, 32)");
}

#[test]
fn a_name_that_is_made_twice_is_refused() {
    let relu = |input: &str, output: &str| node("Relu", &[input], &[output], vec![]);
    for (name, file) in [
        ("by two nodes", file(13, vec![relu("x", "y"), relu("x", "y")], vec![])),
        ("by one node", file(13, vec![node("Split", &["x"], &["y", "y"], vec![int("axis", 1)])], vec![])),
        ("by a node and an input", file(13, vec![relu("x", "x"), relu("x", "y")], vec![])),
        ("by a node and an initializer", file(13, vec![relu("x", "w"), relu("w", "y")], vec![floats("w", &[1], 0.0)])),
        ("by two initializers", file(13, vec![relu("x", "y")], vec![floats("w", &[1], 0.0), floats("w", &[1], 1.0)])),
    ] {
        let refused = refusal(&file);
        assert!(refused.contains("must be"), "{name}: {refused:?}");
    }
    let mut two = file(13, vec![relu("x", "y")], vec![]);
    two.graph.as_mut().unwrap().input.push(value("x", &[1]));
    assert!(refusal(&two).contains("must be made once"), "{}", refusal(&two));
    // A name without text is no name, and an initializer may be the value of an input.
    let mut sound = file(13, vec![relu("x", "y"), node("Split", &["x"], &["", ""], vec![int("axis", 1)])], vec![]);
    sound.graph.as_mut().unwrap().input.push(value("w", &[1]));
    sound.graph.as_mut().unwrap().initializer.push(floats("w", &[1], 0.0));
    assert_eq!(refusal(&sound), "");
}

/// An extent that only a call knows goes on along its own axis; elsewhere it is taken only where nothing else is open.
#[test]
fn unknown_extents_are_not_taken_for_each_other() {
    let open = |nodes, initializers| {
        let mut file = file(17, nodes, initializers);
        file.graph.as_mut().unwrap().input = vec![value("x", &[-1, 3, -1])];
        file
    };
    let shape = || node("Shape", &["x"], &["s"], vec![]);
    let gathered = |index: &str, output: &str| node("Gather", &["s", index], &[output], vec![int("axis", 0)]);
    let joined = |parts: &[&str]| node("Concat", parts, &["t"], vec![int("axis", 0)]);
    let reshaped = || node("Reshape", &["x", "t"], &["y"], vec![]);
    let constants = || vec![ints("0", &[0]), ints("2", &[2]), ints("three", &[3]), ints("rest", &[-1])];
    let swapped = open(
        vec![shape(), gathered("0", "b"), gathered("2", "w"), joined(&["w", "three", "b"]), reshaped()],
        constants(),
    );
    assert!(refusal(&swapped).contains("not known before the model is called"), "{}", refusal(&swapped));
    let kept = open(
        vec![shape(), gathered("0", "b"), gathered("2", "w"), joined(&["b", "three", "w"]), reshaped()],
        constants(),
    );
    assert_eq!(refusal(&kept), "");
    let moved = open(vec![shape(), gathered("2", "w"), joined(&["w", "rest"]), reshaped()], constants());
    assert!(refusal(&moved).contains("not known"), "{}", refusal(&moved));
    let alone = open(vec![shape(), gathered("2", "w"), joined(&["0", "w", "three"]), reshaped()], constants());
    assert_eq!(refusal(&alone), "");
    // Which of them is the largest is not known either.
    let cast = || node("Cast", &["i"], &["f"], vec![int("to", 1)]);
    let scaled = || node("Mul", &["x", "f"], &["y"], vec![]);
    for largest in [
        node("ArgMax", &["s"], &["i"], vec![int("axis", 0)]),
        node("TopK", &["s", "one"], &["v", "i"], vec![int("axis", 0)]),
    ] {
        let largest = open(vec![shape(), largest, cast(), scaled()], vec![ints("one", &[1])]);
        assert!(refusal(&largest).contains("not known"), "{}", refusal(&largest));
    }
}

#[test]
fn casts_and_remainders_of_constants_are_right_or_refused() {
    let folded = |nodes: Vec<Node>, constants| {
        let mut file = file(17, nodes, constants);
        file.graph.as_mut().unwrap().output = vec![value("c", &[])];
        let file = OnnxFile::from_bytes(&file.encode_to_vec()).unwrap();
        file.known_outputs().first().map(|(_, value)| value.values.clone())
    };
    let cast = |to| vec![node("Cast", &["k"], &["c"], vec![int("to", to)])];
    // To uint8, int8, int32 and int64.
    assert_eq!(folded(cast(2), vec![ints("k", &[255])]), Some(vec![255.0]));
    assert_eq!(folded(cast(2), vec![ints("k", &[256])]), None);
    assert_eq!(folded(cast(3), vec![ints("k", &[-129])]), None);
    assert_eq!(folded(cast(6), vec![floats("k", &[1], 3e9)]), None);
    assert_eq!(folded(cast(7), vec![floats("k", &[1], f32::NAN)]), None);
    assert_eq!(folded(cast(7), vec![floats("k", &[1], -2.7)]), Some(vec![-2.0]));
    let rest = |fmod| vec![node("Mod", &["k", "d"], &["c"], vec![int("fmod", fmod)])];
    assert_eq!(folded(rest(0), vec![ints("k", &[-7]), ints("d", &[3])]), Some(vec![2.0]));
    assert_eq!(folded(rest(1), vec![ints("k", &[-7]), ints("d", &[3])]), Some(vec![-1.0]));
}

/// Forty products with one matrix hold it once, on the host and on the device.
#[test]
fn weights_in_common_are_there_once() {
    let Some(gpu) = gpu::gpu() else { return };
    let chain = |count: usize| {
        let name = |index: usize| if index == count { "y".to_owned() } else { format!("h{index}") };
        let nodes = (0..count).map(|index| {
            let input = if index == 0 { "x".to_owned() } else { name(index) };
            node("Gemm", &[&input, "w", "b"], &[&name(index + 1)], vec![])
        });
        let mut file = file(17, nodes.collect(), vec![floats("w", &[64, 64], 0.01), floats("b", &[64], 0.5)]);
        file.graph.as_mut().unwrap().input = vec![value("x", &[1, 64])];
        OnnxFile::from_bytes(&file.encode_to_vec()).unwrap().build(&gpu).unwrap()
    };
    let shape: [Shape; 1] = [[1, 64].into()];
    let (one, forty) = (chain(1), chain(40));
    let weights = |model: &Model| model.memory_report(&shape).unwrap().weights;
    assert_eq!(weights(&one), weights(&forty));
    let output = forty.predict(&HostTensor::new([1, 64], vec![1.0; 64]).unwrap()).unwrap();
    // Each step makes h of 0.64 h + 0.5.
    let expected = (0..40).fold(1.0f64, |h, _| 0.64 * h + 0.5);
    assert!(output.values.iter().all(|&value| (f64::from(value) - expected).abs() < 1e-5), "{expected}: {output:?}");
}

/// Nodes that read one initializer have one variable, as layers of Keras that share one.
#[test]
fn setting_a_shared_weight_sets_it_for_all() {
    let Some(gpu) = gpu::gpu() else { return };
    let nodes = vec![
        Node { name: "first".into(), ..node("Gemm", &["x", "w"], &["h"], vec![]) },
        Node { name: "second".into(), ..node("Gemm", &["h", "w"], &["y"], vec![]) },
    ];
    let mut file = file(17, nodes, vec![floats("w", &[2, 2], 1.0)]);
    file.graph.as_mut().unwrap().input = vec![value("x", &[1, 2])];
    let model = OnnxFile::from_bytes(&file.encode_to_vec()).unwrap().build(&gpu).unwrap();
    let input = HostTensor::new([1, 2], vec![1.0, 2.0]).unwrap();
    assert_eq!(model.predict(&input).unwrap().values, [6.0, 6.0]);
    let twice = HostTensor::new([2, 2], vec![2.0; 4]).unwrap();
    model.get_layer("first").unwrap().set_weights(&[twice]).unwrap();
    assert_eq!(model.predict(&input).unwrap().values, [24.0, 24.0]);
}

/// Which position is the nearest hangs on the last bit of a coordinate: `resize.json` has what onnxruntime 1.32 picks where
/// f64 would pick another, one case or more for every kind of coordinate and rounding, and sizes that keep the aspect ratio.
/// The input counts its positions.
#[test]
fn resized_positions_are_those_of_onnxruntime() {
    let Some(gpu) = gpu::gpu() else { return };
    let path = fixture("../resize.json");
    let cases: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() > 100, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let list =
            |key: &str| -> Vec<i64> { case[key].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect() };
        let text = |name: &str, value: &serde_json::Value| Attribute {
            name: name.into(),
            s: Some(value.as_str().unwrap().as_bytes().to_vec()),
            r#type: 3,
            ..Attribute::default()
        };
        let shape = list("shape");
        let rank = shape.len() as i64;
        let axes = case.get("axes").map_or_else(|| (2..2 + rank).collect(), |_| list("axes"));
        let mut attributes = vec![
            text("coordinate_transformation_mode", &case["transform"]),
            text("nearest_mode", &case["nearest"]),
            Attribute { name: "axes".into(), ints: axes, r#type: 7, ..Attribute::default() },
        ];
        attributes.extend(case.get("policy").map(|policy| text("keep_aspect_ratio_policy", policy)));
        let (inputs, to) = match case.get("scales") {
            Some(scales) => {
                let float_data: Vec<f32> =
                    scales.as_array().unwrap().iter().map(|scale| scale.as_f64().unwrap() as f32).collect();
                let dims = vec![float_data.len() as i64];
                (vec!["x", "", "to"], Tensor { name: "to".into(), dims, data_type: 1, float_data, ..Tensor::default() })
            }
            None => (vec!["x", "", "", "to"], ints("to", &list("sizes"))),
        };
        let mut file = file(19, vec![node("Resize", &inputs, &["y"], attributes)], vec![to]);
        let dims = [&[1, 1][..], &shape].concat();
        file.graph.as_mut().unwrap().input = vec![value("x", &dims)];
        let model = OnnxFile::from_bytes(&file.encode_to_vec()).unwrap().build(&gpu).unwrap();
        let dims: Vec<usize> = dims.iter().map(|&dim| dim as usize).collect();
        let count = (0..dims.iter().product::<usize>()).map(|position| position as f32).collect();
        let output = model.predict(&HostTensor::new(dims, count).unwrap()).unwrap();
        let expected: Vec<f32> = list("values").iter().map(|&value| value as f32).collect();
        let extents: Vec<i64> = output.shape.dims()[2..].iter().map(|&dim| dim as i64).collect();
        if extents != list("output") || output.values != expected {
            wrong.push(case.to_string());
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), cases.len(), &wrong[..wrong.len().min(5)]);
}

/// What a file computes of numbers that fill its input `x` of shape (1, 2, 4, 4).
fn computed(gpu: &wgpu_conv::Gpu, file: &File, x: &[f32]) -> Vec<f32> {
    let model = OnnxFile::from_bytes(&file.encode_to_vec()).unwrap().build(gpu).unwrap();
    model.predict(&HostTensor::new([1, 2, 4, 4], x.to_vec()).unwrap()).unwrap().values
}

/// Opset 10 has no `nearest_mode`: onnxruntime 1.32 takes the position below, and above where an axis becomes smaller.
#[test]
fn resize_of_opset_10_takes_the_positions_of_onnxruntime() {
    let Some(gpu) = gpu::gpu() else { return };
    let text = |name: &str, value: &str| Attribute {
        name: name.into(),
        s: Some(value.into()),
        r#type: 3,
        ..Attribute::default()
    };
    let resize = |operator: &str, opset: i64, scales: [f32; 4], mode: &str| {
        let to =
            Tensor { name: "to".into(), dims: vec![4], data_type: 1, float_data: scales.into(), ..Tensor::default() };
        file(opset, vec![node(operator, &["x", "to"], &["y"], vec![text("mode", mode)])], vec![to])
    };
    let count: Vec<f32> = (0..32).map(|place| place as f32).collect();
    let smaller = computed(&gpu, &resize("Resize", 10, [1.0, 1.0, 0.6, 0.5], "nearest"), &count);
    assert_eq!(smaller, [0.0, 2.0, 8.0, 10.0, 16.0, 18.0, 24.0, 26.0]);
    let both = computed(&gpu, &resize("Resize", 10, [1.0, 1.0, 0.6, 1.5], "nearest"), &count);
    assert_eq!(both[..12], [0.0, 0.0, 1.0, 2.0, 2.0, 3.0, 8.0, 8.0, 9.0, 10.0, 10.0, 11.0]);
    let linear = computed(&gpu, &resize("Resize", 10, [1.0, 1.0, 0.5, 0.5], "linear"), &count);
    assert_eq!(linear, [0.0, 2.0, 8.0, 10.0, 16.0, 18.0, 24.0, 26.0]);
    let upsampled = computed(&gpu, &resize("Upsample", 9, [1.0, 1.0, 1.0, 1.5], "nearest"), &count);
    assert_eq!(upsampled[..6], [0.0, 0.0, 1.0, 2.0, 2.0, 3.0]);
    assert!(refusal(&resize("Upsample", 9, [1.0, 1.0, 0.5, 1.0], "nearest")).contains("at least 1"));
}

/// A reduction over no axes is what it does to each element, from opset 18 on: onnxruntime 1.32's values.
#[test]
fn a_reduction_over_no_axes_computes_all_the_same() {
    let Some(gpu) = gpu::gpu() else { return };
    let x: Vec<f32> = (0..32).map(|place| if place % 2 == 0 { 2.0 } else { -3.0 }).collect();
    let reduced = |operator: &str, axes: bool, keepdims: i64| {
        let attributes = vec![int("noop_with_empty_axes", 1), int("keepdims", keepdims)];
        let inputs = if axes { &["x", "axes"][..] } else { &["x"] };
        let constants = if axes { vec![ints("axes", &[])] } else { vec![] };
        computed(&gpu, &file(18, vec![node(operator, inputs, &["y"], attributes)], constants), &x)
    };
    let ln = |value: f32| value.ln();
    for (operator, pair) in [
        ("ReduceL1", [2.0, 3.0]),
        ("ReduceL2", [2.0, 3.0]),
        ("ReduceLogSum", [ln(2.0), f32::NAN]),
        ("ReduceLogSumExp", [2.0, -3.0]),
        ("ReduceMax", [2.0, -3.0]),
        ("ReduceMean", [2.0, -3.0]),
        ("ReduceProd", [2.0, -3.0]),
        ("ReduceSum", [2.0, -3.0]),
        ("ReduceSumSquare", [4.0, 9.0]),
    ] {
        for (axes, keepdims) in [(false, 1), (true, 0)] {
            let values = reduced(operator, axes, keepdims);
            assert_eq!(values.len(), 32, "{operator}");
            let right = |(value, expected): (&f32, &f32)| {
                (value - expected).abs() <= 1e-6 || value.is_nan() && expected.is_nan()
            };
            assert!(values.iter().zip(pair.iter().cycle()).all(right), "{operator}: {:?} for {pair:?}", &values[..2]);
        }
    }
}

/// Numbers of 16 bits: what a cast rounds stays rounded in the casts behind it.
#[test]
fn casts_to_16_bits_round() {
    let Some(gpu) = gpu::gpu() else { return };
    let mut x = vec![0.0; 32];
    x[..8].copy_from_slice(&[2049.0, 2051.0, 65519.0, -65520.0, 4e-8, 1.001, f32::INFINITY, 3e38]);
    let (float, float16, bfloat16) = (1, 10, 16);
    let there_and_back = |types: &[i64]| {
        let name = |place: usize| {
            if place == 0 { "x".to_owned() } else { format!("h{place}") }
        };
        let cast = |(place, &to): (usize, &i64)| {
            let output = if place + 1 == types.len() { "y".to_owned() } else { name(place + 1) };
            node("Cast", &[&name(place)], &[&output], vec![int("to", to)])
        };
        computed(&gpu, &file(17, types.iter().enumerate().map(cast).collect(), vec![]), &x)[..8].to_vec()
    };
    let half = [2048.0, 2052.0, 65504.0, f32::NEG_INFINITY, 5.9604645e-8, 1.0009766, f32::INFINITY, f32::INFINITY];
    assert_eq!(there_and_back(&[float16, float]), half);
    assert_eq!(there_and_back(&[float16, float16, float]), half);
    let brain = [2048.0, 2048.0, 65536.0, -65536.0, 4.004687e-8, 1.0, f32::INFINITY, 3.0040553e38];
    let values = there_and_back(&[bfloat16, float]);
    assert!(values.iter().zip(brain).all(|(a, b)| *a == b || (a / b - 1.0).abs() < 1e-5), "{values:?} for {brain:?}");
    // Of a constant, on the host.
    let like = |like: Tensor| {
        let nodes = vec![node("CastLike", &["k", "like"], &["h"], vec![]), node("Add", &["x", "h"], &["y"], vec![])];
        computed(&gpu, &file(17, nodes, vec![floats("k", &[1], 2049.0), like]), &[0.0; 32])[0]
    };
    assert_eq!(like(floats("like", &[1], 1.0)), 2049.0);
    assert_eq!(like(Tensor { data_type: 10, float_data: vec![], dims: vec![0], ..floats("like", &[], 0.0) }), 2048.0);
}

/// The number of elements is an attribute before opset 10, and an input from then on.
#[test]
fn the_number_of_elements_stands_where_its_opset_has_it() {
    let Some(gpu) = gpu::gpu() else { return };
    let count: Vec<f32> = (0..32).map(|place| place as f32).collect();
    let taken = |k| file(9, vec![node("TopK", &["x"], &["y", "z"], vec![int("k", k)])], vec![]);
    assert_eq!(computed(&gpu, &taken(2), &count)[..4], [3.0, 2.0, 7.0, 6.0]);
    assert!(refusal(&taken(5)).contains("from 0 to the extent 4 of axis 3, and is 5"), "{}", refusal(&taken(5)));
    let given = |k: &[i64]| file(10, vec![node("TopK", &["x", "k"], &["y", "z"], vec![])], vec![ints("k", k)]);
    assert_eq!(computed(&gpu, &given(&[1]), &count)[..2], [3.0, 7.0]);
    assert!(refusal(&given(&[1, 2])).contains("its k must be one number, and is 2"), "{}", refusal(&given(&[1, 2])));
    let none = refusal(&file(10, vec![node("TopK", &["x"], &["y", "z"], vec![])], vec![]));
    assert!(none.contains("is missing"), "{none}");
}

/// What is computed with narrow whole numbers wraps around in their types: onnxruntime 1.32's values.
#[test]
fn narrow_whole_numbers_wrap_around() {
    let Some(gpu) = gpu::gpu() else { return };
    let (uint8, int8, int16, int32) = (2, 3, 5, 6);
    let typed = |data_type: i32, nodes: Vec<Node>, constants: Vec<Tensor>| {
        let mut file = file(17, nodes, constants);
        let tensor = file.graph.as_mut().unwrap().input[0].r#type.as_mut().unwrap().tensor.as_mut().unwrap();
        tensor.elem_type = data_type;
        file
    };
    let mut x = [0.0; 32];
    x[..4].copy_from_slice(&[-128.0, 127.0, -1.0, 5.0]);
    for operator in ["Neg", "Abs"] {
        let values = computed(&gpu, &typed(int8, vec![node(operator, &["x"], &["y"], vec![])], vec![]), &x);
        let sign = if operator == "Neg" { 1.0 } else { -1.0 };
        assert_eq!(values[..4], [-128.0, -127.0 * sign, 1.0, -5.0 * sign], "{operator}");
    }
    let twice = typed(int8, vec![node("Add", &["x", "x"], &["y"], vec![])], vec![]);
    assert_eq!(computed(&gpu, &twice, &x)[..4], [0.0, -2.0, -2.0, 10.0]);
    let product = typed(int16, vec![node("Mul", &["x", "x"], &["y"], vec![])], vec![]);
    assert!(refusal(&product).contains("cast them to int32 first"), "{}", refusal(&product));
    // Of constants, on the host.
    let folded = |operator: &str, data_type: i32, pair: [i64; 2]| {
        let constant = |name: &str, value| {
            let field = Tensor { data_type: 7, int64_data: vec![value], dims: vec![1], ..ints(name, &[]) };
            (field, node("Cast", &[name], &[&format!("{name}{name}")], vec![int("to", data_type.into())]))
        };
        let ((a, first), (b, second)) = (constant("a", pair[0]), constant("b", pair[1]));
        let inputs = if operator == "Neg" { &["aa"][..] } else { &["aa", "bb"] };
        let mut file = file(17, vec![first, second, node(operator, inputs, &["c"], vec![])], vec![a, b]);
        file.graph.as_mut().unwrap().output = vec![value("c", &[])];
        let file = OnnxFile::from_bytes(&file.encode_to_vec()).unwrap();
        file.known_outputs().first().map(|(_, value)| value.values[0])
    };
    assert_eq!(folded("Add", int8, [120, 120]), Some(-16.0));
    assert_eq!(folded("Sub", uint8, [7, 90]), Some(173.0));
    assert_eq!(folded("Mul", uint8, [120, 120]), Some(64.0));
    assert_eq!(folded("Mul", int32, [7 << 24, 90]), Some(1_979_711_488.0));
    assert_eq!(folded("Neg", int16, [-32768, 0]), Some(-32768.0));
    assert_eq!(folded("Add", 13, [1, 2]), Some(3.0));
    assert_eq!(folded("Sub", 13, [1, 2]), None, "2^64 - 1 is no number here");
}

/// NaN counts as beyond all, as it does in NumPy's argmax, and no position is outside of the axis.
#[test]
fn nan_has_a_place_of_its_own() {
    let Some(gpu) = gpu::gpu() else { return };
    let mut x = vec![0.0; 32];
    x[..12].copy_from_slice(&[1.0, f32::NAN, 9.0, f32::NAN, 5.0, 1.0, 2.0, 3.0, f32::NAN, f32::NAN, f32::NAN, 4.0]);
    let taken = |k: i64, largest: i64| {
        let top = node("TopK", &["x", "k"], &["v", "y"], vec![int("largest", largest)]);
        computed(&gpu, &file(17, vec![top], vec![ints("k", &[k])]), &x)
    };
    assert_eq!(taken(1, 1)[..3], [1.0, 0.0, 0.0]);
    assert_eq!(taken(3, 1)[..9], [1.0, 3.0, 2.0, 0.0, 3.0, 2.0, 0.0, 1.0, 2.0]);
    assert_eq!(taken(4, 0)[..12], [1.0, 3.0, 0.0, 2.0, 1.0, 2.0, 3.0, 0.0, 0.0, 1.0, 2.0, 3.0]);
    let best = |operator: &str| {
        let attributes = vec![int("axis", 3), int("keepdims", 0)];
        computed(&gpu, &file(17, vec![node(operator, &["x"], &["y"], attributes)], vec![]), &x)[..3].to_vec()
    };
    assert_eq!(best("ArgMax"), [1.0, 0.0, 0.0]);
    assert_eq!(best("ArgMin"), [1.0, 1.0, 0.0]);
    let clipped = |nodes: Vec<Node>, constants| computed(&gpu, &file(17, nodes, constants), &x)[..4].to_vec();
    for (least, most) in [(0.0, 6.0), (0.0, 2.5), (-1.0, 2.5)] {
        let bounds = vec![floats("a", &[], least), floats("b", &[], most)];
        let values = clipped(vec![node("Clip", &["x", "a", "b"], &["y"], vec![])], bounds);
        assert!(values[1].is_nan() && values[3].is_nan() && values[2] == most, "{values:?}");
    }
}

/// Neither small values of what grows nor large ones lose their digits: NumPy's values, in f64.
#[test]
fn hyperbolic_functions_hold_far_out_and_near() {
    let Some(gpu) = gpu::gpu() else { return };
    let near = |operator: &str, given: &[f32], function: fn(f64) -> f64| {
        let mut x = vec![1.5; 32];
        x[..given.len()].copy_from_slice(given);
        let values = computed(&gpu, &file(17, vec![node(operator, &["x"], &["y"], vec![])], vec![]), &x);
        for (&x, value) in given.iter().zip(values) {
            let (expected, value) = (function(x.into()), f64::from(value));
            let same = value.is_nan() && expected.is_nan() || value == expected;
            assert!(same || (value / expected - 1.0).abs() < 1e-5, "{operator} of {x} is {expected}, not {value}");
        }
    };
    let (infinite, none) = (f32::INFINITY, f32::NAN);
    near("Sinh", &[9.0, -9.0, 1e-3, -0.7, 1.3, 89.0, -89.0, 0.0, -1e-30, infinite, -infinite, none], f64::sinh);
    near("Cosh", &[9.0, -9.0, 1e-3, -0.7, 1.3, 89.0, -89.0, 0.0, infinite, -infinite, none], f64::cosh);
    near("Asinh", &[1e-30, -1e-3, 0.7, 9.0, -1e6, 1e20, -3e38, 0.0, infinite, -infinite, none], f64::asinh);
    near("Acosh", &[1.0, 1.0001, 1.01, 1.5, 9.0, 1e6, 3e19, 1e20, 3e38, 0.5, -2.0, infinite, none], f64::acosh);
    near("Atanh", &[1e-30, -1e-3, 0.3, -0.7, 0.9999, 1.0, -1.0, 0.0, 1.5, -infinite, none], |x| match x.abs() <= 1.0 {
        true => ((2.0 * x.abs() / (1.0 - x.abs())).ln_1p() * 0.5).copysign(x),
        false => f64::NAN,
    });
    near("Sin", FAR, f64::sin);
    near("Cos", FAR, f64::cos);
    near("Tan", FAR, f64::tan);
}

/// Angles of many turns, and some that are near whole quarters of one.
const FAR: &[f32] = &[
    0.5,
    -0.5,
    std::f32::consts::FRAC_PI_2,
    22.0,
    -355.0,
    12_800.0,
    12_801.0,
    1.5e5,
    1e6,
    -1e7,
    12_345_678.0,
    1e10,
    -1e20,
    1e30,
    3e38,
    f32::MAX,
    // 16367173 · 2^72, nearer to one than any other number.
    7.729_179e28,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

/// Infinities, zeros and NaN as bases and exponents: NumPy 2's float32 power.
#[test]
fn powers_of_what_is_no_number_are_those_of_numpy() {
    use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};
    let Some(gpu) = gpu::gpu() else { return };
    let (i, n) = (f32::INFINITY, f32::NAN);
    let exponents = [-i, -2.0, -1.0, -0.0, 0.0, 1.0, 2.0, i, n, 0.5, -0.5];
    let rows = [
        (-i, [0.0, 0.0, -0.0, 1.0, 1.0, -i, i, i, n, i, 0.0]),
        (-2.0, [0.0, 0.25, -0.5, 1.0, 1.0, -2.0, 4.0, i, n, n, n]),
        (-1.0, [1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0, n, n, n]),
        (-0.0, [i, i, -i, 1.0, 1.0, -0.0, 0.0, 0.0, n, 0.0, i]),
        (0.0, [i, i, i, 1.0, 1.0, 0.0, 0.0, 0.0, n, 0.0, i]),
        (1.0, [1.0; 11]),
        (2.0, [0.0, 0.25, 0.5, 1.0, 1.0, 2.0, 4.0, i, n, SQRT_2, FRAC_1_SQRT_2]),
        (i, [0.0, 0.0, 0.0, 1.0, 1.0, i, i, i, n, i, 0.0]),
        (n, [n, n, n, 1.0, 1.0, n, n, n, n, n, n]),
    ];
    let mut bases = vec![1.0; 32];
    bases[..9].copy_from_slice(&rows.map(|(base, _)| base));
    for (place, exponent) in exponents.into_iter().enumerate() {
        // An exponent for all, and one for each.
        for dims in [&[][..], &[1, 2, 4, 4]] {
            let constants = vec![floats("e", dims, exponent)];
            let made = computed(&gpu, &file(13, vec![node("Pow", &["x", "e"], &["y"], vec![])], constants), &bases);
            for ((base, row), value) in rows.iter().zip(made) {
                let expected = row[place];
                let same = value.is_nan() && expected.is_nan() || value == expected;
                assert!(same || (value - expected).abs() < 1e-5, "{base}^{exponent} is {expected}, not {value}");
            }
        }
    }
}

/// Whole numbers stay whole and in the range of their type: onnxruntime 1.32's values.
#[test]
fn shrunk_whole_numbers_are_cut_off() {
    let Some(gpu) = gpu::gpu() else { return };
    let shrunk = |data_type: i64, bias: f32, lambd: f32| {
        let nodes = vec![
            node("Cast", &["x"], &["i"], vec![int("to", data_type)]),
            node("Shrink", &["i"], &["s"], vec![number("bias", bias), number("lambd", lambd)]),
            node("Cast", &["s"], &["y"], vec![int("to", 1)]),
        ];
        file(17, nodes, vec![])
    };
    let of = |file: &File, given: &[f32]| {
        let mut x = vec![0.0; 32];
        x[..given.len()].copy_from_slice(given);
        computed(&gpu, file, &x)[..given.len()].to_vec()
    };
    let bytes = [-128.0, -100.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 100.0, 127.0];
    assert_eq!(of(&shrunk(3, 0.7, 1.5), &bytes), [-127.0, -99.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 99.0, 126.0]);
    assert_eq!(of(&shrunk(3, 1.5, 0.5), &bytes), [-126.0, -98.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 98.0, 125.0]);
    let wrapped = [84.0, 112.0, -47.0, -46.0, -45.0, 0.0, 45.0, 46.0, 47.0, -112.0, -85.0];
    assert_eq!(of(&shrunk(3, -300.6, 0.5), &bytes), wrapped);
    assert_eq!(of(&shrunk(2, 5.25, 0.5), &[0.0, 1.0, 2.0, 3.0, 100.0, 255.0]), [0.0, 252.0, 253.0, 254.0, 94.0, 249.0]);
    assert_eq!(of(&shrunk(6, 0.7, 1.5), &[-3.0, -1.0, 0.0, 1.0, 3.0]), [-2.0, 0.0, 0.0, 0.0, 2.0]);
    assert!(refusal(&shrunk(12, 5.25, 0.5)).contains("cast them to int64"), "{}", refusal(&shrunk(12, 5.25, 0.5)));
    assert_eq!(of(&shrunk(12, 0.7, 1.5), &[0.0, 1.0, 3.0]), [0.0, 0.0, 2.0]);
    // Floats keep their fractions.
    assert_eq!(of(&shrunk(1, 0.75, 1.5), &[-3.0, 2.5, 1.0]), [-2.25, 1.75, 0.0]);
}

/// Of constants too, products are those of NumPy's matmul where they are no matrices.
#[test]
fn constants_of_more_axes_are_multiplied() {
    let Some(gpu) = gpu::gpu() else { return };
    for (left, right, expected) in
        [(&[1, 2, 4, 3][..], &[3, 4][..], 1.5), (&[1, 2, 4, 3], &[1, 2, 3, 4], 1.5), (&[3], &[3, 4], 1.5)]
    {
        let nodes = vec![node("MatMul", &["a", "b"], &["c"], vec![]), node("Add", &["x", "c"], &["y"], vec![])];
        let constants = vec![floats("a", left, 0.5), floats("b", right, 1.0)];
        assert_eq!(computed(&gpu, &file(17, nodes, constants), &[0.0; 32]), [expected; 32], "{left:?} {right:?}");
    }
}

/// The largest number is no end in either direction: onnxruntime 1.32's values.
#[test]
fn a_slice_backwards_to_no_end_is_all() {
    let Some(gpu) = gpu::gpu() else { return };
    let count: Vec<f32> = (0..32).map(|place| place as f32).collect();
    let sliced = |start: i64, end: i64| {
        let constants = [("s", start), ("e", end), ("a", 3), ("t", -2)].map(|(name, value)| ints(name, &[value]));
        let slice = node("Slice", &["x", "s", "e", "a", "t"], &["y"], vec![]);
        computed(&gpu, &file(17, vec![slice], constants.to_vec()), &count)
    };
    for end in [i64::MAX, i32::MAX.into(), i64::MIN, -5] {
        assert_eq!(sliced(-1, end)[..4], [3.0, 1.0, 7.0, 5.0], "{end}");
    }
    assert_eq!(sliced(3, 2)[..2], [3.0, 7.0]);
}

/// Thousands of nodes, and of parts, in seconds; more than the budget allows in an error.
#[test]
fn large_graphs_are_read_in_proportion() {
    let start = std::time::Instant::now();
    let named = |index: usize| {
        let input = if index == 0 { "x".to_owned() } else { format!("h{index}") };
        let output = if index == 19_999 { "y".to_owned() } else { format!("h{}", index + 1) };
        Node { name: "same".into(), ..node("Relu", &[&input], &[&output], vec![]) }
    };
    let chain = file(17, (0..20_000).map(named).collect(), vec![]).encode_to_vec();
    let chain = OnnxFile::from_bytes(&chain).unwrap();
    assert_eq!(chain.architecture().unwrap().layers().len(), 20_000);
    let parts: Vec<String> = (0..100_000).map(|index| format!("p{index}")).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut split = file(17, vec![node("Split", &["x"], &parts, vec![int("axis", 1)])], vec![]);
    split.graph.as_mut().unwrap().input = vec![value("x", &[1, 100_000])];
    let split = OnnxFile::from_bytes(&split.encode_to_vec());
    assert!(matches!(split, Ok(_) | Err(Error::Limit { .. })), "{split:?}");
    let inputs = (0..20_000).map(|index| value(&format!("i{index}"), &[1]));
    let mut wide = file(17, vec![node("Relu", &["x"], &["y"], vec![])], vec![]);
    wide.graph.as_mut().unwrap().input.extend(inputs);
    assert_eq!(refusal(&wide), "");
    assert!(start.elapsed().as_secs() < 20, "it took {:?}", start.elapsed());
    if let Some(gpu) = gpu::gpu() {
        let start = std::time::Instant::now();
        let model = chain.build(&gpu).unwrap();
        assert_eq!(model.layers().len(), 20_000);
        assert!(start.elapsed().as_secs() < 20, "building took {:?}", start.elapsed());
    }
}

/// Calls of models of tens of thousands of layers, and files of them, in seconds: no step looks through all others.
#[test]
fn large_graphs_are_called_and_written_in_proportion() {
    let Some(gpu) = gpu::gpu() else { return };
    let start = std::time::Instant::now();
    let sum = file(17, vec![node("Sum", &["x"; 40_000], &["y"], vec![])], vec![]);
    assert_eq!(computed(&gpu, &sum, &[0.5; 32]), [20_000.0; 32]);
    assert!(start.elapsed().as_secs() < 25, "calling took {:?}", start.elapsed());
    let start = std::time::Instant::now();
    let named = |index: usize| {
        let input = if index == 0 { "x".to_owned() } else { format!("h{index}") };
        let output = if index == 29_999 { "y".to_owned() } else { format!("h{}", index + 1) };
        node("Relu", &[&input], &[&output], vec![])
    };
    let chain = file(17, (0..30_000).map(named).collect(), vec![]).encode_to_vec();
    let model = OnnxFile::from_bytes(&chain).unwrap().build(&gpu).unwrap();
    let folder = Folder::new("large");
    model.save(folder.0.join("chain.keras")).unwrap();
    assert!(start.elapsed().as_secs() < 25, "writing took {:?}", start.elapsed());
}

/// Single operators and small graphs of them, against onnxruntime.
///
/// Weights of 8 bits have 7 of them in these files: with all 8, onnxruntime's kernels for processors without VNNI saturate sums
/// of two products at 16 bits, and are far from what the integers come to.
#[test]
fn operators_agree_with_onnxruntime() {
    let Some(gpu) = gpu::gpu() else { return };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/findings/onnx");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter_map(|name| Some(name.strip_suffix(".onnx")?.to_owned())).collect();
    names.retain(|name| name.starts_with("op_"));
    names.sort();
    assert!(names.len() >= 28, "{names:?}");
    let mut wrong = Vec::new();
    for name in names {
        let check = || -> Result<(), String> {
            let text = |error: Error| error.to_string();
            let model = Model::load(&gpu, fixture(&format!("{name}.onnx"))).map_err(text)?;
            let tensors = fixtures::tensors(&fixture(&format!("{name}.safetensors")))?;
            let given = |index: usize| {
                let array = tensors.get(&format!("input_{index}")).ok_or("an input is missing")?;
                Tensor32::from_slice(&gpu, Shape::from(&array.shape[..]), &array.to_f32()).map_err(text)
            };
            let inputs = (0..model.inputs().len()).map(given).collect::<Result<Vec<_>, _>>()?;
            for (index, output) in model.call_all(&inputs).map_err(text)?.iter().enumerate() {
                let expected = tensors.get(&format!("expected_{index}")).ok_or("an output is missing")?;
                let off = fixtures::dev(&output.read::<f32>().map_err(text)?, &expected.data);
                if off > 1e-5 {
                    eprintln!("{name} {:?}\n{:?}", output.read::<f32>().unwrap(), expected.data);
                }
                if output.shape().dims() != expected.shape || off > 1e-5 {
                    let (got, expected) = (output.shape(), &expected.shape);
                    return Err(format!("output {index} of {got} for {expected:?} deviates by {off:e}"));
                }
            }
            Ok(())
        };
        wrong.extend(check().err().map(|why| format!("{name}: {why}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A folder of its own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wgpu-conv-onnx-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `x + w`, where the elements of `w` lie elsewhere.
fn with_weights_in(entries: &[(&str, &str)]) -> File {
    let external = entries.iter().map(|(key, value)| Entry { key: (*key).into(), value: (*value).into() }).collect();
    let weight = Tensor { external, location: 1, float_data: vec![], ..floats("w", &[4], 0.0) };
    file(17, vec![node("Add", &["x", "w"], &["y"], vec![])], vec![weight])
}

#[test]
fn weights_in_other_files_stay_within_the_folder() {
    let outer = Folder::new("external");
    let folder = outer.0.join("model");
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    let bytes: Vec<u8> = [1f32, 2.0, 3.0, 4.0].iter().flat_map(|value| value.to_le_bytes()).collect();
    for place in ["secret", "model/w.bin", "model/sub/w.bin"] {
        std::fs::write(outer.0.join(place), &bytes).unwrap();
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
        std::os::unix::fs::symlink("..", folder.join("up")).unwrap();
        std::os::unix::fs::symlink("w.bin", folder.join("inside")).unwrap();
    }
    let opened = |entries: &[(&str, &str)]| {
        let path = folder.join("model.onnx");
        std::fs::write(&path, with_weights_in(entries).encode_to_vec()).unwrap();
        OnnxFile::open(&path).map(|file| assert_eq!(file.unsupported(), []))
    };
    let right: &[&[(&str, &str)]] = &[
        &[("location", "w.bin")],
        &[("location", "./sub/w.bin"), ("offset", "0"), ("length", "16"), ("checksum", "00")],
        #[cfg(unix)]
        &[("location", "inside")],
    ];
    for entries in right {
        opened(entries).unwrap();
    }
    let secret = outer.0.join("secret").display().to_string();
    let wrong: &[(&[(&str, &str)], &str)] = &[
        (&[], "within the folder"),
        (&[("location", "")], "within the folder"),
        (&[("location", ".")], "within the folder"),
        (&[("location", "../secret")], "within the folder"),
        (&[("location", "sub/../../secret")], "within the folder"),
        (&[("location", &secret)], "within the folder"),
        (&[("location", "sub")], "no regular file"),
        (&[("location", "there is none")], "cannot be read"),
        (&[("location", "w.bin\0")], "cannot be read"),
        (&[("location", "w.bin"), ("offset", "1")], "no whole number of float"),
        (&[("location", "w.bin"), ("offset", "4"), ("length", "16")], "copy it whole"),
        (&[("location", "w.bin"), ("offset", "18446744073709551615"), ("length", "2")], "copy it whole"),
        (&[("location", "w.bin"), ("offset", "-4")], "whole number"),
        (&[("location", "w.bin"), ("length", "8")], "does not hold"),
        (&[("location", "w.bin"), ("location", "sub/w.bin")], "twice"),
        (&[("location", "w.bin"), ("basepath", "..")], "not known"),
        #[cfg(unix)]
        (&[("location", "link")], "a link out of the folder"),
        #[cfg(unix)]
        (&[("location", "up/secret")], "a link out of the folder"),
    ];
    for (entries, reason) in wrong {
        let error = opened(entries).expect_err(reason).to_string();
        assert!(error.contains(reason), "{entries:?}: {error}");
    }
    let error = OnnxFile::from_bytes(&with_weights_in(&[("location", "w.bin")]).encode_to_vec()).unwrap_err();
    assert!(error.to_string().contains("by its path"), "{error}");
}

/// Many weights that lie in one place ask for its bytes many times, which the file's size does not pay for.
#[test]
fn weights_that_share_bytes_are_counted_each() {
    let folder = Folder::new("shared");
    std::fs::File::create(folder.0.join("w.bin")).unwrap().set_len(16 << 20).unwrap();
    let mut model = with_weights_in(&[("location", "w.bin")]);
    let graph = model.graph.as_mut().unwrap();
    let weight = Tensor { dims: vec![4 << 20], ..graph.initializer[0].clone() };
    graph.initializer = (0..64).map(|index| Tensor { name: format!("w{index}"), ..weight.clone() }).collect();
    let path = folder.0.join("model.onnx");
    std::fs::write(&path, model.encode_to_vec()).unwrap();
    assert!(matches!(OnnxFile::open(&path), Err(Error::Limit { .. })));
}

/// Of a picture of open extents, the rows cut in halves: which needs to know how many there are.
fn open_file() -> OnnxFile {
    let axis = int("axis", 2);
    let mut model =
        file(17, vec![node("Split", &["x"], &["y", "z"], vec![axis]), node("Relu", &["z"], &["r"], vec![])], vec![]);
    let graph = model.graph.as_mut().unwrap();
    graph.input = vec![value("x", &[-1, 3, -1, -1])];
    let dims = graph.input[0].r#type.as_mut().unwrap().tensor.as_mut().unwrap().shape.as_mut().unwrap();
    (dims.dim[0].name, dims.dim[2].name) = (Some("batch".into()), Some("height".into()));
    graph.output.push(value("r", &[]));
    OnnxFile::from_bytes(&model.encode_to_vec()).unwrap()
}

#[test]
fn open_extents_are_fixed_by_name() {
    let open = open_file();
    assert_eq!(open.open_extents(), ["batch", "height", "x.3"]);
    let error = open.architecture().unwrap_err().to_string();
    assert!(error.contains("--shape NAME=EXTENT: batch, height, x.3"), "{error}");
    let fixed = open_file().with_extent("height", 6).unwrap();
    assert_eq!((fixed.unsupported(), fixed.open_extents().len()), (&[][..], 2));
    assert_eq!(fixed.architecture().unwrap().inputs()[0].shape.to_string(), "(None, 3, 6, None)");
    let whole = open_file().with_shape("x", [1, 3, 6, 8]).unwrap();
    assert_eq!(whole.open_extents(), [""; 0]);
    assert_eq!(whole.inputs()[0].shape.to_string(), "(1, 3, 6, 8)");
    for (name, extent, reason) in [("width", 6, "batch, height, x.3"), ("height", 0, "at least 1")] {
        let error = open_file().with_extent(name, extent).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    for shape in [&[1, 4, 6, 8][..], &[1, 3, 6]] {
        assert!(open_file().with_shape("x", Shape::from(shape)).is_err(), "{shape:?}");
    }
    assert!(open_file().with_shape("y", [1]).is_err());
}

#[test]
fn a_model_is_cut_at_a_value() {
    let fixed = || open_file().with_extent("height", 6).unwrap();
    let short = fixed().with_outputs(&["z"]).unwrap().architecture().unwrap();
    assert_eq!(short.layers().len(), 2, "a layer for each half of the rows");
    assert_eq!(fixed().with_outputs(&["Relu_1"]).unwrap().architecture().unwrap().layers().len(), 3);
    let late = open_file().with_outputs(&["r"]).unwrap().with_input("z", [1, 3, 3, 8]).unwrap();
    assert_eq!((late.unsupported(), late.inputs().len(), &*late.inputs()[0].name), (&[][..], 1, "z"));
    for name in ["", "nothing"] {
        assert!(fixed().with_outputs(&[name]).is_err() && fixed().with_input(name, [1]).is_err(), "{name:?}");
    }
    assert!(fixed().with_outputs(&[]).is_err() && fixed().with_input("x", [1]).is_err());
}

/// Whole numbers that f32 does not have are refused where they are computed with, and kept where they are not.
#[test]
fn whole_numbers_beyond_f32_are_refused() {
    let compared = |value: i64| {
        let nodes = vec![node("Cast", &["x"], &["i"], vec![int("to", 7)]), node("Less", &["i", "n"], &["y"], vec![])];
        refusal(&file(17, nodes, vec![ints("n", &[value])]))
    };
    assert_eq!(compared(1 << 24), "");
    assert!(compared((1 << 24) + 1).contains("f32, which does not have 16777217"));
    let sliced = vec![node("Slice", &["x", "a", "n"], &["y"], vec![])];
    assert_eq!(refusal(&file(17, sliced, vec![ints("a", &[0]), ints("n", &[i64::MAX])])), "");
}

/// A file of tensors that are called otherwise than a model's inputs is told what it lacks, and what it has.
/// Of inputs that are swapped each may fit a layer that broadcasts.
#[test]
fn inputs_have_the_shapes_that_the_file_says() {
    let Some(gpu) = gpu::gpu() else { return };
    let mut sum = file(17, vec![node("Add", &["a", "b"], &["y"], vec![])], vec![]);
    sum.graph.as_mut().unwrap().input = vec![value("a", &[1, -1, 4]), value("b", &[1, 3, -1])];
    let model = OnnxFile::from_bytes(&sum.encode_to_vec()).unwrap().build(&gpu).unwrap();
    let of = |shape: &[usize]| HostTensor::new(shape, vec![0.5; shape.iter().product()]).unwrap();
    // The first axis is the batch, and open axes are any, as ever.
    for [a, b] in [[[1, 3, 4], [1, 3, 4]], [[5, 1, 4], [5, 3, 1]]] {
        let outputs = model.predict_all(&[of(&a), of(&b)]).unwrap();
        assert_eq!((outputs[0].shape.dims(), &outputs[0].values[..2]), (&[a[0], 3, 4][..], &[1.0, 1.0][..]));
    }
    for [a, b] in [[&[1, 3, 1][..], &[1, 3, 4][..]], [&[1, 1, 4], &[1, 1, 4]], [&[3, 4], &[1, 3, 4]]] {
        let tensors = [a, b].map(|shape| Tensor32::from_slice(&gpu, shape, &of(shape).values).unwrap());
        let shapes = [a, b].map(Shape::from);
        let refusals = [
            model.predict_all(&[of(a), of(b)]).err(),
            model.call_all(&tensors).err(),
            model.call_recorded(&tensors).err(),
            model.memory_report(&shapes).err(),
            model.output_shapes_for(&shapes.each_ref().map(Into::into)).err(),
        ];
        for error in refusals {
            let text = error.unwrap_or_else(|| panic!("{a:?} and {b:?}")).to_string();
            assert!(text.contains("as the model's file says; received shape=("), "{text}");
        }
    }
}

#[test]
fn tensors_of_other_names_than_the_inputs_are_listed() {
    let Some(gpu) = gpu::gpu() else { return };
    let mut two = file(17, vec![node("Add", &["x", "z"], &["y"], vec![])], vec![]);
    two.graph.as_mut().unwrap().input.push(value("z", &[1, 2, 4, 4]));
    let model = OnnxFile::from_bytes(&two.encode_to_vec()).unwrap().build(&gpu).unwrap();
    let folder = Folder::new("names");
    let tensor = HostTensor::new([1, 2, 4, 4], vec![1.0; 32]).unwrap();
    let read = |name: &str, tensors: [&str; 2]| {
        let path = folder.0.join(name);
        wgpu_conv::formats::write_arrays(&path, &tensors.map(|name| (name, &tensor))).unwrap();
        wgpu_conv::formats::read_inputs(&model, &path)
    };
    assert_eq!(read("right.safetensors", ["x", "input_1"]).unwrap().len(), 2);
    let why = read("wrong.safetensors", ["x", "image"]).unwrap_err().to_string();
    assert!(why.contains("one for each, called \"x\" or input_0, \"z\" or input_1"), "{why}");
    assert!(why.contains("with \"image\" (1, 2, 4, 4), \"x\" (1, 2, 4, 4)"), "{why}");
    assert_eq!(read("right.npz", ["input_0", "z"]).unwrap().len(), 2);
    let why = read("wrong.npz", ["x", "image"]).unwrap_err().to_string();
    assert!(why.contains("with \"x\" (1, 2, 4, 4), \"image\" (1, 2, 4, 4)"), "{why}");
}

/// Messages within messages go no deeper than the decoder does.
#[test]
fn graphs_within_graphs_end() {
    let mut bytes: Vec<u8> = Vec::new();
    for _ in 0..40_000 {
        for tag in [6u8, 5, 1] {
            let length = bytes.len();
            let mut head = vec![tag << 3 | 2];
            let mut rest = length;
            while rest >= 128 {
                head.push(rest as u8 | 128);
                rest >>= 7;
            }
            head.push(rest as u8);
            bytes.splice(0..0, head);
        }
        if bytes.len() > 200_000 {
            break;
        }
    }
    let mut whole = vec![8, 8, 7 << 3 | 2];
    let mut rest = bytes.len();
    while rest >= 128 {
        whole.push(rest as u8 | 128);
        rest >>= 7;
    }
    whole.push(rest as u8);
    whole.extend(bytes);
    assert!(OnnxFile::from_bytes(&whole).is_err());
}
