//! The usual causes of a delivery that is refused, in words.

use crate::secret_flaw::SecretFlaw;
use std::fmt;

/// The usual cause of a missing signature or timestamp, or of a mismatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// The signature matches the secret without this flaw.
    Secret(SecretFlaw),
    /// The signature matches the same JSON in another form: the body was parsed and serialized again.
    BodyReserialized,
    /// The body is the printed form of a value, such as `{'a': 1}` or `b'...'`.
    BodyPrinted,
    /// The body was given as text; the signature covers the raw bytes.
    BodyGivenAsText,
    /// The body is empty.
    BodyEmpty,
    /// The request has this `Content-Encoding`.
    ContentEncoding(&'static str),
    /// The body is compressed by this encoding, of which no header tells.
    BodyCompressed(&'static str),
    /// The request has the signature header of this other product.
    OtherProduct(&'static str),
    /// None of these. The request has a timestamp, so the signature must cover it.
    TimestampCameAlong,
    /// The body is `{timestamp}.{body}`: what the sender of a timestamped delivery signs.
    BodyBeginsWithTimestamp,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(flaw) => f.write_str(match flaw {
                SecretFlaw::OuterSpace => {
                    "it matches the secret without its leading or trailing whitespace: trim the secret where you \
                     read it"
                }
                SecretFlaw::Quotes => "it matches the secret without the quotes around it: remove the quotes",
                SecretFlaw::ByteOrderMark => {
                    "it matches the secret without its byte order mark: save the secret's file as UTF-8 without a \
                     byte order mark"
                }
                SecretFlaw::Encoded => {
                    "it matches the text that the secret is the base64 form of: set the secret as Pylon shows it"
                }
                SecretFlaw::Decoded => {
                    "it matches the base64 form of the secret: set the secret as Pylon shows it, and do not decode it"
                }
            }),
            Self::BodyReserialized => f.write_str(
                "it matches the same JSON in another form: the body was parsed and serialized again; pass the raw \
                 bytes of the request body",
            ),
            Self::BodyPrinted => {
                f.write_str("the body is the printed form of a value; pass the raw bytes of the request body")
            }
            Self::BodyGivenAsText => f.write_str(
                "the body was given as text, and the signature covers the raw bytes: pass the raw bytes of the \
                 request body, and check the secret of this webhook destination",
            ),
            Self::BodyEmpty => {
                f.write_str("the body is empty: the sender sent none, or something in front of the app took it")
            }
            Self::ContentEncoding(name) => write!(
                f,
                "the request has a Content-Encoding ({name}): let nothing on the way compress or unpack the body, since \
                 the signature covers the bytes that the sender signed"
            ),
            Self::BodyCompressed(name) => write!(
                f,
                "the body is compressed ({name}): let nothing on the way compress the body, since the signature covers the \
                 bytes that the sender signed"
            ),
            Self::OtherProduct(product) => {
                write!(f, "the request has a signature header of {product}, so it is not from Pylon (usepylon.com)")
            }
            Self::TimestampCameAlong => f.write_str(
                "check the secret of this webhook destination, pass the raw bytes of the request body, and check \
                 that the sender signs `{timestamp}.{body}`: the request has a timestamp",
            ),
            Self::BodyBeginsWithTimestamp => f.write_str(
                "the body begins with a timestamp and a full stop, as the signed text of a timestamped delivery \
                 does: send the timestamp in the header",
            ),
        }
    }
}

/// The product that signs with this header, when it is not ours.
pub(crate) fn product_of_header(name: &str) -> Option<&'static str> {
    const PRODUCTS: [(&str, &str); 8] = [
        ("pylon-webhook-signature", "getpylon.com"),
        ("stripe-signature", "Stripe"),
        ("x-hub-signature-256", "GitHub"),
        ("x-slack-signature", "Slack"),
        ("svix-signature", "Svix"),
        ("webhook-signature", "Standard Webhooks"),
        ("x-zendesk-webhook-signature", "Zendesk"),
        ("x-shopify-hmac-sha256", "Shopify"),
    ];
    PRODUCTS.iter().find(|(header, _)| name.eq_ignore_ascii_case(header)).map(|&(_, product)| product)
}
