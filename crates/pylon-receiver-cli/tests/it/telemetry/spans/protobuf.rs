//! As much of OTLP's protobuf as these tests look at; the numbers are those of `opentelemetry/proto/trace/v1/trace.proto`.

/// A span as it was exported.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) trace_id: Vec<u8>,
    pub(super) id: Vec<u8>,
    pub(super) parent: Vec<u8>,
    pub(super) name: String,
    /// In nanoseconds.
    pub(super) began: u64,
    /// In nanoseconds.
    pub(super) ended: u64,
    attributes: Vec<(String, String)>,
}

impl Span {
    /// By name.
    pub(super) fn attributes(&self) -> Vec<(&str, &str)> {
        let mut attributes: Vec<_> = self.attributes.iter().map(|(key, value)| (&**key, &**value)).collect();
        attributes.sort();
        attributes
    }

    pub(super) fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str())
    }
}

/// The spans of an `ExportTraceServiceRequest`.
pub(super) fn spans(request: &[u8]) -> Vec<Span> {
    let of_resources = messages(request, 1);
    let of_scopes = of_resources.iter().flat_map(|of_resource| messages(of_resource, 2));
    of_scopes.flat_map(|of_scope| messages(&of_scope, 2)).map(|span| read(&span)).collect()
}

/// The attributes of its first resource.
pub(super) fn resource(request: &[u8]) -> Vec<(String, String)> {
    attributes(&message(&message(request, 1), 1), 1)
}

fn read(span: &[u8]) -> Span {
    Span {
        trace_id: message(span, 1),
        id: message(span, 2),
        parent: message(span, 4),
        name: text(message(span, 5)),
        began: number(span, 7),
        ended: number(span, 8),
        attributes: attributes(span, 9),
    }
}

/// Keys with their values, which are texts or whole numbers.
fn attributes(bytes: &[u8], field: u64) -> Vec<(String, String)> {
    let value = |value: Vec<u8>| match fields(&value).into_iter().next() {
        Some((1, Value::Bytes(value))) => text(value),
        Some((3, Value::Number(value))) => value.to_string(),
        other => panic!("another value: {other:?}"),
    };
    messages(bytes, field).iter().map(|pair| (text(message(pair, 1)), value(message(pair, 2)))).collect()
}

#[derive(Debug)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

fn messages(bytes: &[u8], field: u64) -> Vec<Vec<u8>> {
    let of_field = |(number, value)| match value {
        Value::Bytes(bytes) if number == field => Some(bytes),
        _ => None,
    };
    fields(bytes).into_iter().filter_map(of_field).collect()
}

/// Empty where there is none.
fn message(bytes: &[u8], field: u64) -> Vec<u8> {
    messages(bytes, field).into_iter().next().unwrap_or_default()
}

fn number(bytes: &[u8], field: u64) -> u64 {
    let of_field = |(number, value): &(u64, Value)| match value {
        Value::Number(value) if *number == field => Some(*value),
        _ => None,
    };
    fields(bytes).iter().find_map(of_field).unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Value)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)),
            1 => Value::Number(u64::from_le_bytes(take(&mut bytes, 8).try_into().unwrap())),
            2 => {
                let length = varint(&mut bytes) as usize;
                Value::Bytes(take(&mut bytes, length).to_vec())
            }
            5 => Value::Number(u32::from_le_bytes(take(&mut bytes, 4).try_into().unwrap()).into()),
            other => panic!("another wire type: {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}
