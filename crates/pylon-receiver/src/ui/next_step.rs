//! What to do about a refused request, by its code.

/// What to do, a sentence or two.
pub(super) fn of(code: &str) -> &'static str {
    match code {
        "signature_missing" => {
            "Send it from Pylon, or with `pylon-receiver send`: both sign. A proxy in front has to pass on the header X-Pylon-Signature."
        }
        "signature_malformed" => "Check what a proxy in front does to the header X-Pylon-Signature.",
        "signature_mismatch" => {
            "Set the secret that Pylon shows for this very webhook destination, and restart the receiver. If it is set, look for a proxy that changes the body."
        }
        "timestamp_missing" | "timestamp_malformed" => {
            "Pylon sends no timestamp: set `timestamp = \"optional\"` at the endpoint, or have the sender sign one."
        }
        "timestamp_stale" | "timestamp_future" => "Set the clocks of the sender and of this machine.",
        "header_missing" | "header_mismatch" => {
            "Add the endpoint's header, with its configured value, to the webhook destination in Pylon."
        }
        "no_secret" => "Set the endpoint's secret: see the step above.",
        "forbidden_source" => {
            "If the request was Pylon's, add its address to the endpoint's `sources`; behind a proxy, name the proxy in `trusted_proxies`."
        }
        "method_not_allowed" => "Choose the method POST in Pylon.",
        "too_large" => "Raise the endpoint's `body_limit`, or shorten the template.",
        "rate_limited" => "Raise the endpoint's `rate`, or leave it: Pylon is told to come again.",
        "unknown_path" => "Correct the path of the address in Pylon, or the `path` of the endpoint.",
        "memory_full" => "Raise `limits.body_memory`.",
        "incomplete_body" | "body_timeout" => "Look for what breaks connections off between Pylon and this receiver.",
        "loop_detected" => "Check the `url` of the destinations: an event must not come back.",
        code if code.starts_with("ledger_") => "See the page Health: the ledger takes no events.",
        _ => "The reason says what was expected.",
    }
}
