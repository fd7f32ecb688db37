//! How ids and moments look in JSON, for the description of the API. The other types of [`wire`](crate::wire) derive theirs.

use crate::id::{DeliveryId, EventId, PartOfId};
use crate::time::Moment;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Object, RefOr};
use utoipa::{PartialSchema, ToSchema};

fn text(description: &str) -> ObjectBuilder {
    Object::builder().schema_type(Type::String).description(Some(description))
}

macro_rules! texts {
    ($($name:ty: $text:expr;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $text.into()
            }
        }
        impl ToSchema for $name {}
    )*};
}

texts! {
    Moment: text("A moment in UTC.").format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    EventId: text("An event's id, a UUID of version 7.").format(Some(SchemaFormat::Custom("uuid".into())));
    DeliveryId: text("A delivery's id: that of its event, a full stop, and a number that counts the event's deliveries from 1.")
        .pattern(Some(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.[0-9]{1,9}$"));
    PartOfId: text("The first or the last digits of an id.").pattern(Some(r"^-*([0-9a-fA-F]-*){4,31}$"));
}
