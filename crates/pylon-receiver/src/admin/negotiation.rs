//! Which format a scraper wants the metrics in.

use crate::metrics::Exposition;
use http::HeaderMap;
use http::header::ACCEPT;

/// The format that the `Accept` headers prefer (RFC 9110, section 12.5.1): Prometheus' own text format, unless OpenMetrics is preferred.
pub(super) fn exposition(headers: &HeaderMap) -> Exposition {
    let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<Range<'_>> = values.flat_map(|value| value.split(',')).filter_map(Range::read).collect();
    let open_metrics = preference(&ranges, ["application", "openmetrics-text"], "1.0.0");
    let text = preference(&ranges, ["text", "plain"], "0.0.4");
    if open_metrics > text { Exposition::OpenMetrics } else { Exposition::Text }
}

/// A media range: what it matches, and how much it is wanted.
struct Range<'a> {
    kind: [&'a str; 2],
    version: Option<&'a str>,
    /// From 0 to 1.
    quality: f32,
}

impl<'a> Range<'a> {
    /// None: it is malformed, and says nothing.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subkind) = parts.next()?.split_once('/')?;
        let mut range = Self { kind: [kind.trim_end(), subkind.trim_start()], version: None, quality: 1.0 };
        for parameter in parts.filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=')?;
            let value = value.trim_matches('"');
            if name.eq_ignore_ascii_case("version") {
                range.version = Some(value);
            } else if name.eq_ignore_ascii_case("q") {
                range.quality = value.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?;
            }
        }
        Some(range)
    }

    /// How exactly the range names the format; none if it is for another one.
    fn exactness(&self, kind: [&str; 2], version: &str) -> Option<u8> {
        let is = |at: usize| self.kind[at].eq_ignore_ascii_case(kind[at]);
        match self.version {
            Some(found) if is(0) && is(1) => (found == version).then_some(3),
            _ if is(0) && is(1) => Some(2),
            _ if is(0) && self.kind[1] == "*" => Some(1),
            _ if self.kind == ["*", "*"] => Some(0),
            _ => None,
        }
    }
}

/// How much the format is wanted: the most exact range decides, and of equally wanted formats the one that is named.
fn preference(ranges: &[Range<'_>], kind: [&str; 2], version: &str) -> (f32, bool) {
    let matching = ranges.iter().filter_map(|range| Some((range.exactness(kind, version)?, range.quality)));
    let (exactness, quality) = matching.fold((0, 0.0), |best, found| if found > best { found } else { best });
    (quality, quality > 0.0 && exactness > 1)
}
