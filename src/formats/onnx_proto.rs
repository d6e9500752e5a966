//! The messages of an ONNX file: the fields that are read, with the numbers `onnx/onnx.proto` gives them.
//!
//! Fields left out are skipped by the decoder; sparse and quantized content is kept only so far that it can be refused by
//! name.

use prost::Message;
use prost::bytes::Bytes;

/// A file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ModelProto {
    #[prost(int64, tag = "1")]
    pub(super) ir_version: i64,
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    pub(super) opset_import: Vec<OperatorSetIdProto>,
    #[prost(message, repeated, tag = "25")]
    pub(super) functions: Vec<FunctionProto>,
}

/// An operator that the file defines: what it is given, what it makes, and the nodes between.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FunctionProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, repeated, tag = "4")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    pub(super) output: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub(super) node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "9")]
    pub(super) opset_import: Vec<OperatorSetIdProto>,
    #[prost(string, tag = "10")]
    pub(super) domain: String,
    /// The arguments that have a default.
    #[prost(message, repeated, tag = "11")]
    pub(super) attribute_proto: Vec<AttributeProto>,
    /// Tells it from others of its name.
    #[prost(string, tag = "13")]
    pub(super) overload: String,
}

/// The version of one set of operators.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(int64, tag = "2")]
    pub(super) version: i64,
}

/// Nodes in an order in which each reads only what stands before it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    pub(super) input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    pub(super) output: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "15")]
    pub(super) sparse_initializer: Vec<SparseTensorProto>,
}

/// An application of an operator.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<AttributeProto>,
    #[prost(string, tag = "7")]
    pub(super) domain: String,
    /// Of a call of a function, which of those of the name.
    #[prost(string, tag = "8")]
    pub(super) overload: String,
    /// Of a node of a function, the version of the standard operators that the function was written by. It is put here where
    /// functions take the place of their calls, under a number that protobuf keeps from formats, so that no file means it.
    #[prost(int64, optional, tag = "19000")]
    pub(super) opset: Option<i64>,
}

/// A named argument of a node. Which field holds it follows from the operator; a writer may leave out a number that is 0
/// and a list that is empty, and says then by the type alone that the argument is there.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AttributeProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(float, optional, tag = "2")]
    pub(super) f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub(super) i: Option<i64>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub(super) s: Option<Bytes>,
    #[prost(message, optional, tag = "5")]
    pub(super) t: Option<TensorProto>,
    /// The branches of If and the body of Loop.
    #[prost(message, optional, boxed, tag = "6")]
    pub(super) g: Option<Box<GraphProto>>,
    #[prost(float, repeated, tag = "7")]
    pub(super) floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub(super) ints: Vec<i64>,
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub(super) strings: Vec<Bytes>,
    #[prost(int32, tag = "20")]
    pub(super) r#type: i32,
    /// In the body of a function, the argument of the function that it stands for.
    #[prost(string, tag = "21")]
    pub(super) ref_attr_name: String,
}

/// The types of attributes that operators have here, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttributeType {
    Float = 1,
    Int = 2,
    Text = 3,
    Tensor = 4,
    Graph = 5,
    Floats = 6,
    Ints = 7,
    Texts = 8,
}

impl AttributeProto {
    /// Whether it is of the type `expected`: says so, and holds nothing else. Before the type was written, what it holds
    /// said it.
    pub(super) fn is(&self, expected: AttributeType) -> bool {
        use AttributeType::{Float, Floats, Graph, Int, Ints, Tensor, Text, Texts};
        let held = [
            (Float, self.f.is_some()),
            (Int, self.i.is_some()),
            (Text, self.s.is_some()),
            (Tensor, self.t.is_some()),
            (Graph, self.g.is_some()),
            (Floats, !self.floats.is_empty()),
            (Ints, !self.ints.is_empty()),
            (Texts, !self.strings.is_empty()),
        ];
        let named = match self.r#type {
            // An empty list is nothing at all in the old form.
            0 => held.contains(&(expected, true)) || matches!(expected, Floats | Ints | Texts),
            known => {
                known == expected as i32 && (!matches!(expected, Tensor | Graph) || held.contains(&(expected, true)))
            }
        };
        named && self.ref_attr_name.is_empty() && held.iter().all(|&(kind, held)| !held || kind == expected)
    }
}

impl AttributeProto {
    /// The texts that it holds. Other bytes than text are a name that nothing has.
    pub(super) fn texts(&self) -> Vec<&str> {
        self.strings.iter().map(|bytes| std::str::from_utf8(bytes).unwrap_or("\u{fffd}")).collect()
    }
}

impl NodeProto {
    pub(super) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// The integer `name`, or its default where there is no such attribute.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i.unwrap_or(0))
    }

    /// The number `name`, or its default where there is no such attribute.
    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f.unwrap_or(0.0))
    }

    /// The list of integers `name`, if there is one.
    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    /// The text `name`, or its default where there is no such attribute. Other bytes than text are a name that nothing has.
    pub(super) fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        let Some(attribute) = self.attribute(name) else { return default };
        attribute.s.as_ref().map_or("", |bytes| std::str::from_utf8(bytes).unwrap_or("\u{fffd}"))
    }
}

/// A constant tensor: its elements as raw little-endian bytes, or in the field of their type.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    pub(super) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(super) data_type: i32,
    /// There where it is a part of a larger tensor.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(super) segment: Option<Bytes>,
    #[prost(float, repeated, tag = "4")]
    pub(super) float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub(super) int32_data: Vec<i32>,
    #[prost(int64, repeated, tag = "7")]
    pub(super) int64_data: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub(super) raw_data: Option<Bytes>,
    #[prost(double, repeated, tag = "10")]
    pub(super) double_data: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    pub(super) uint64_data: Vec<u64>,
    /// Where in another file the elements lie.
    #[prost(message, repeated, tag = "13")]
    pub(super) external_data: Vec<StringEntryProto>,
    /// 1 where the elements lie in another file.
    #[prost(int32, tag = "14")]
    pub(super) data_location: i32,
}

impl TensorProto {
    /// The longest of the fields that elements are written to.
    fn fields(&self) -> usize {
        let lists = [self.float_data.len(), self.int32_data.len(), self.int64_data.len()];
        lists.into_iter().chain([self.double_data.len(), self.uint64_data.len()]).max().unwrap_or(0)
    }

    /// Whether elements stand in a field of their type.
    pub(super) fn has_fields(&self) -> bool {
        self.fields() > 0
    }

    /// A bound on the number of elements that are there.
    pub(super) fn stored_elements(&self) -> usize {
        self.raw_data.as_ref().map_or(0, |raw| raw.len()).max(self.fields())
    }
}

/// A name and what it stands for.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StringEntryProto {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// A sparse constant; only its name matters, to refuse it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SparseTensorProto {
    #[prost(message, optional, tag = "1")]
    pub(super) values: Option<TensorProto>,
}

/// The name and the type of an input or an output.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueInfoProto {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) r#type: Option<TypeProto>,
}

/// A type; sequences, maps and optionals have no `tensor_type`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TypeProto {
    #[prost(message, optional, tag = "1")]
    pub(super) tensor_type: Option<TensorTypeProto>,
}

/// The type of a tensor; without `shape` not even the number of axes is known.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    pub(super) elem_type: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<TensorShapeProto>,
}

/// The extents of a tensor.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    pub(super) dim: Vec<DimensionProto>,
}

/// An extent; one that is open has no value, and may have a name, which is the same extent wherever it stands.
#[derive(Clone, PartialEq, Message)]
pub(super) struct DimensionProto {
    #[prost(int64, optional, tag = "1")]
    pub(super) dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(super) dim_param: Option<String>,
}

/// The bytes of memory that decoding the file `bytes` takes, counted before it is: messages take many times more memory than
/// bytes of the file. What cannot be decoded is counted as far as it can.
pub(super) fn decoded_bytes(bytes: &[u8]) -> u64 {
    MessageKind::Model.decoded(bytes, 0)
}

/// What a field holds, as far as the messages above have it.
#[derive(Clone, Copy)]
enum MessageKind {
    Model,
    OperatorSet,
    Function,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Entry,
    Value,
    Type,
    TensorType,
    Shape,
    Dimension,
    Text,
    /// Numbers of so many bytes, each in at least so many bytes of the file.
    Numbers(u64, u64),
    /// Part of the file, which stays where it is.
    Slice,
}

impl MessageKind {
    fn field(self, tag: u64) -> Option<Self> {
        Some(match (self, tag) {
            (Self::Model, 7) => Self::Graph,
            (Self::Model, 8) => Self::OperatorSet,
            (Self::Model, 25) => Self::Function,
            (Self::OperatorSet, 1) | (Self::Function, 1 | 4 | 5 | 10 | 13) | (Self::Graph, 2) | (Self::Value, 1) => {
                Self::Text
            }
            (Self::Graph, 1) => Self::Node,
            (Self::Graph, 5) => Self::Tensor,
            (Self::Graph, 11 | 12) => Self::Value,
            (Self::Graph, 15) => Self::Sparse,
            (Self::Node, 1..=4 | 7 | 8) | (Self::Attribute, 1 | 21) | (Self::Tensor, 8) | (Self::Entry, 1 | 2) => {
                Self::Text
            }
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::Function, 7) => Self::Node,
            (Self::Function, 9) => Self::OperatorSet,
            (Self::Attribute, 4 | 9) | (Self::Tensor, 3 | 9) => Self::Slice,
            (Self::Attribute, 6) => Self::Graph,
            (Self::Tensor, 13) => Self::Entry,
            (Self::Dimension, 2) => Self::Text,
            (Self::Attribute, 5) | (Self::Sparse, 1) => Self::Tensor,
            (Self::Attribute, 7) | (Self::Tensor, 4) => Self::Numbers(4, 4),
            (Self::Attribute, 8) | (Self::Tensor, 1 | 7 | 11) => Self::Numbers(8, 1),
            (Self::Tensor, 5) => Self::Numbers(4, 1),
            (Self::Tensor, 10) => Self::Numbers(8, 8),
            (Self::Value, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Shape, 1) => Self::Dimension,
            _ => return None,
        })
    }

    /// Bytes of memory of one such field, beside what it holds in turn.
    fn size(self) -> usize {
        match self {
            Self::Model => size_of::<ModelProto>(),
            Self::OperatorSet => size_of::<OperatorSetIdProto>(),
            Self::Function => size_of::<FunctionProto>(),
            Self::Graph => size_of::<GraphProto>(),
            Self::Node => size_of::<NodeProto>(),
            Self::Attribute => size_of::<AttributeProto>(),
            Self::Tensor => size_of::<TensorProto>(),
            Self::Sparse => size_of::<SparseTensorProto>(),
            Self::Entry => size_of::<StringEntryProto>(),
            Self::Value => size_of::<ValueInfoProto>(),
            Self::Type => size_of::<TypeProto>(),
            Self::TensorType => size_of::<TensorTypeProto>(),
            Self::Shape => size_of::<TensorShapeProto>(),
            Self::Dimension => size_of::<DimensionProto>(),
            // With the smallest piece of memory that there is, and the place of the name in a table.
            Self::Text => size_of::<String>() + 64,
            Self::Numbers(..) => 0,
            Self::Slice => size_of::<Bytes>(),
        }
    }

    /// Messages within messages are counted as far down as the decoder goes.
    fn decoded(self, mut bytes: &[u8], depth: usize) -> u64 {
        let mut total = 0u64;
        if depth > 100 {
            return total;
        }
        while let Some(key) = varint(&mut bytes) {
            let field = self.field(key >> 3);
            let content = match key & 7 {
                0 => varint(&mut bytes).map(|_| None),
                1 => cut(&mut bytes, 8).map(|_| None),
                2 => varint(&mut bytes).and_then(|length| cut(&mut bytes, length)).map(Some),
                5 => cut(&mut bytes, 4).map(|_| None),
                _ => None,
            };
            let Some(content) = content else { break };
            let held = match (field, content) {
                (None, _) => 0,
                // A list that grows has room for twice as many.
                (Some(Self::Numbers(size, least)), Some(packed)) => 2 * size * (packed.len() as u64).div_ceil(least),
                (Some(Self::Numbers(size, _)), None) => 2 * size,
                (Some(Self::Text), Some(text)) => 2 * Self::Text.size() as u64 + text.len() as u64,
                (Some(Self::Slice), Some(_)) => 2 * Self::Slice.size() as u64,
                (Some(field), Some(content)) => {
                    (2 * field.size() as u64).saturating_add(field.decoded(content, depth + 1))
                }
                (Some(field), None) => 2 * field.size() as u64,
            };
            total = total.saturating_add(held);
        }
        total
    }
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for index in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * index).min(63);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn cut<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (content, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(content)
}
