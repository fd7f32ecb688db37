//! The description of the API, in OpenAPI 3.1: made from the types that the API reads and writes.

use super::answer::{Answer, json};
use crate::id::{DeliveryId, EventId};
use crate::wire::{
    Activity, DeadGroups, DeadOrder, DeliveryFilter, DeliveryList, DropOrder, ErrorAnswer, EventDetail, EventFilter,
    EventList, EventOrder, Liveness, MoveOrder, OrderList, OrderRecord, OrderResult, OrderTerms, PageQuery, Readiness,
    RefusedFilter, RefusedList, RunningConfig, Stats, path,
};
use std::collections::BTreeMap;
use std::sync::LazyLock;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{KnownFormat, Schema, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Content, Info, License, Object, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder,
};
use utoipa::{IntoParams, PartialSchema, ToSchema};

const DESCRIPTION: &str = "What operators see and order. Times are RFC 3339 texts in UTC, sizes are bytes, and a value that does not \
apply is left out. Unknown parameters and fields are refused.";
const TOKEN: &str = "token";

/// Answers with the description.
pub(super) async fn show() -> Answer {
    static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(document);
    json(&*DOCUMENT)
}

/// One thing that the API does.
struct Described {
    method: HttpMethod,
    path: &'static str,
    /// A name for generated clients.
    id: &'static str,
    summary: &'static str,
    parameters: fn() -> Vec<Parameter>,
    order: Option<Shape>,
    answer: Shape,
    /// Another status with an answer of its own.
    also: Option<(&'static str, &'static str, Shape)>,
}

impl Described {
    const fn read(path: &'static str, id: &'static str, summary: &'static str, answer: Shape) -> Self {
        Self { method: HttpMethod::Get, path, id, summary, parameters: Vec::new, order: None, answer, also: None }
    }

    const fn order(path: &'static str, id: &'static str, summary: &'static str, order: Shape) -> Self {
        let answer = Shape::json::<OrderResult>();
        Self { method: HttpMethod::Post, order: Some(order), ..Self::read(path, id, summary, answer) }
    }

    const fn with(self, parameters: fn() -> Vec<Parameter>) -> Self {
        Self { parameters, ..self }
    }
}

const OPERATIONS: &[Described] = &[
    Described::read(path::LIVENESS, "live", "Whether the process is alive.", Shape::json::<Liveness>()),
    Described {
        also: Some(("503", "The receiver is not ready, and says why.", Shape::json::<Readiness>())),
        ..Described::read(path::READINESS, "ready", "Whether the receiver is ready.", Shape::json::<Readiness>())
    },
    Described::read(path::METRICS, "metrics", "The metrics, for Prometheus.", Shape::text()),
    Described::read(path::EVENTS, "list_events", "The events that match, a page of them.", Shape::json::<EventList>())
        .with(|| [query::<EventFilter>(), query::<PageQuery<EventId>>()].concat()),
    Described::read(
        path::EVENT,
        "show_event",
        "An event with its headers, its body and its deliveries.",
        Shape::json::<EventDetail>(),
    )
    .with(event_id),
    Described::read(
        path::EVENT_BODY,
        "event_body",
        "An event's body, byte for byte.",
        Shape::bytes("application/octet-stream"),
    )
    .with(event_id),
    Described::order(path::EVENTS_REDELIVER, "redeliver_events", "Deliver events again.", Shape::order::<EventOrder>()),
    Described::read(
        path::DELIVERIES,
        "list_deliveries",
        "The deliveries that match, a page of them.",
        Shape::json::<DeliveryList>(),
    )
    .with(|| [query::<DeliveryFilter>(), query::<PageQuery<DeliveryId>>()].concat()),
    Described::order(
        path::DELIVERIES_MOVE,
        "move_deliveries",
        "Give what is left of a destination to another one.",
        Shape::order::<MoveOrder>(),
    ),
    Described::order(
        path::DELIVERIES_DROP,
        "drop_deliveries",
        "Drop what is left of a destination, for good.",
        Shape::order::<DropOrder>(),
    ),
    Described::read(
        path::DEAD_GROUPS,
        "dead_groups",
        "The dead deliveries in groups, by destination and code.",
        Shape::json::<DeadGroups>(),
    ),
    Described::order(
        path::DEAD_REDELIVER,
        "redeliver_dead",
        "Deliver dead deliveries again.",
        Shape::order::<DeadOrder>(),
    ),
    Described::order(path::DEAD_DROP, "drop_dead", "Drop dead deliveries, for good.", Shape::order::<DeadOrder>()),
    Described::read(
        path::ORDERS,
        "list_orders",
        "The orders that were given, a page of them.",
        Shape::json::<OrderList>(),
    )
    .with(numbered),
    Described::read(path::ORDER, "show_order", "An order, and how far it is.", Shape::json::<OrderRecord>())
        .with(order_number),
    Described {
        method: HttpMethod::Post,
        order: Some(Shape::object()),
        ..Described::read(
            path::ORDER_CANCEL,
            "cancel_order",
            "Cancel an order that is under way.",
            Shape::json::<OrderRecord>(),
        )
        .with(order_number)
    },
    Described::read(
        path::REFUSED,
        "list_refused",
        "The refused requests that match, a page of them.",
        Shape::json::<RefusedList>(),
    )
    .with(|| [query::<RefusedFilter>(), numbered()].concat()),
    Described::read(path::STATS, "stats", "Counts of everything in the ledger.", Shape::json::<Stats>()),
    Described::read(
        path::ACTIVITY,
        "activity",
        "What the running receiver has seen since its start.",
        Shape::json::<Activity>(),
    ),
    Described::read(
        path::CONFIG,
        "config",
        "The configuration that the receiver runs with.",
        Shape::json::<RunningConfig>(),
    ),
    Described::read(
        path::BACKUP,
        "backup",
        "A copy of the ledger, a SQLite file.",
        Shape::bytes("application/vnd.sqlite3"),
    ),
    Described::read(path::OPENAPI, "openapi", "This description.", Shape::object()),
];

/// What is in a request or an answer.
struct Shape {
    content_type: &'static str,
    schema: fn(&mut Schemas) -> RefOr<Schema>,
}

type Schemas = BTreeMap<String, RefOr<Schema>>;

impl Shape {
    /// JSON of this type.
    const fn json<T: ToSchema>() -> Self {
        Self { content_type: "application/json", schema: shared::<T> }
    }

    /// JSON of an order, with what goes with every order.
    const fn order<T: ToSchema>() -> Self {
        Self { content_type: "application/json", schema: with_terms::<T> }
    }

    const fn object() -> Self {
        Self { content_type: "application/json", schema: |_| Object::new().into() }
    }

    const fn text() -> Self {
        Self { content_type: "text/plain", schema: |_| Object::builder().schema_type(Type::String).into() }
    }

    const fn bytes(content_type: &'static str) -> Self {
        let binary = |_: &mut Schemas| {
            let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
            Object::builder().schema_type(Type::String).format(Some(format)).into()
        };
        Self { content_type, schema: binary }
    }

    fn content(&self, schemas: &mut Schemas) -> Content {
        Content::new(Some((self.schema)(schemas)))
    }
}

/// A reference to the schema of this type, which is added with all that it refers to.
fn shared<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    let mut of_parts = Vec::new();
    T::schemas(&mut of_parts);
    schemas.extend(of_parts);
    let name = T::name();
    schemas.insert(name.clone().into_owned(), T::schema());
    RefOr::Ref(Ref::from_schema_name(name))
}

/// The same, with the fields of [`OrderTerms`] among its own.
fn with_terms<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    let reference = shared::<T>(schemas);
    let order = schemas.get_mut(&*T::name());
    if let (Some(RefOr::T(Schema::Object(order))), RefOr::T(Schema::Object(terms))) = (order, OrderTerms::schema()) {
        order.properties.extend(terms.properties);
    }
    reference
}

fn query<T: IntoParams>() -> Vec<Parameter> {
    T::into_params(|| Some(ParameterIn::Query))
}

/// The page of a list whose entries have numbers.
fn numbered() -> Vec<Parameter> {
    let mut parameters = query::<PageQuery<u64>>();
    for parameter in parameters.iter_mut().filter(|parameter| parameter.name == "after") {
        // Not every reader of the description knows the format `uint64`.
        let number = Object::builder().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(u64::MAX as usize));
        parameter.schema = Some(number.into());
    }
    parameters
}

fn event_id() -> Vec<Parameter> {
    let id = ParameterBuilder::new().name("id").parameter_in(ParameterIn::Path).required(Required::True);
    vec![id.description(Some("The event's id.")).schema(Some(EventId::schema())).build()]
}

fn order_number() -> Vec<Parameter> {
    let number = ParameterBuilder::new().name("number").parameter_in(ParameterIn::Path).required(Required::True);
    vec![number.description(Some("The order's number.")).schema(Some(u64::schema())).build()]
}

fn document() -> OpenApi {
    let mut schemas = Schemas::new();
    // Parameters refer to these.
    shared::<crate::wire::EventState>(&mut schemas);
    shared::<crate::wire::DeliveryState>(&mut schemas);
    let mut paths = Paths::new();
    for described in OPERATIONS {
        let operation = operation(described, &mut schemas);
        paths.paths.insert(described.path.to_owned(), PathItem::new(described.method.clone(), operation));
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
    let bearer = bearer.description(Some("An operator's token. On loopback, a receiver without operators needs none."));
    let mut components = Components::new();
    components.schemas = schemas;
    components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer.build()));
    let mut info = Info::new("pylon-receiver: admin API", env!("CARGO_PKG_VERSION"));
    info.description = Some(DESCRIPTION.to_owned());
    let mut license = License::new(env!("CARGO_PKG_LICENSE"));
    license.identifier = Some(env!("CARGO_PKG_LICENSE").to_owned());
    info.license = Some(license);
    let tokens = [SecurityRequirement::default(), SecurityRequirement::new(TOKEN, [""; 0])];
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).security(Some(tokens)).build()
}

fn operation(described: &Described, schemas: &mut Schemas) -> Operation {
    let Described { id, summary, parameters, order, answer, also, .. } = described;
    let mut operation = OperationBuilder::new().operation_id(Some(*id)).summary(Some(*summary));
    for parameter in parameters() {
        operation = operation.parameter(parameter);
    }
    if let Some(order) = order {
        let content = order.content(schemas);
        let body = RequestBodyBuilder::new().content(order.content_type, content).required(Some(Required::True));
        operation = operation.request_body(Some(body.build()));
    }
    let mut answers = vec![("200", "Done.", answer)];
    answers.extend(also.iter().map(|(status, description, answer)| (*status, *description, answer)));
    let refusal = Shape::json::<ErrorAnswer>();
    answers.push(("default", "The request is refused.", &refusal));
    for (status, description, answer) in answers {
        let content = answer.content(schemas);
        let response = ResponseBuilder::new().description(description).content(answer.content_type, content);
        operation = operation.response(status, response.build());
    }
    operation.build()
}
