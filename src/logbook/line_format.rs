//! Formats of access lines: three that are built in, and templates such as `$client "$method $path" $status`.
//!
//! A format is read once, when the configuration is; writing a line parses nothing.

use crate::logbook::access::AccessRecord;
use crate::logbook::escape::Escape;
use crate::logbook::field::FIELDS;
use crate::logbook::field::Field;
use crate::logbook::field::Setting;
use crate::logbook::moment::MomentWriter;
use crate::logbook::query::QueryRule;

/// How an access line looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFormat(Vec<Part>);

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// A field of a JSON object; the value is `null` where there is none.
    Json(Field),
    /// As it stands.
    Literal(Vec<u8>),
    /// A field of a text; `-` where there is none.
    Text(Field, Escape),
}

/// What a line is written with.
#[derive(Debug)]
pub struct LineSetting<'a> {
    /// What is written of queries.
    pub query: QueryRule,
    /// The name of this data centre.
    pub data_centre: &'a str,
}

/// Why a template is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFormatError {
    /// It would end a line within.
    #[error("a line cannot hold a control character")]
    Control,
    /// It names no field.
    #[error("it names no field")]
    NoField,
    /// A dollar sign without the name of a field.
    #[error("there is no field `${0}`")]
    Unknown(String),
}

impl LineFormat {
    /// The format that every tool reads that reads logs of nginx or Apache.
    #[must_use]
    pub fn combined() -> Self {
        Self::built_in(
            r#"$client - $user [$time_combined] "$method $path $protocol" $status $bytes_sent "$referer" "$user_agent""#,
        )
    }

    /// One line for people.
    #[must_use]
    pub fn text() -> Self {
        Self::built_in(
            "$time $client $user $method $host$path $status $bytes_sent $duration decision=$decision route=$route \
             upstream=$upstream upstream_time=$upstream_time tls=$tls id=$request_id",
        )
    }

    /// One JSON object with every field but the second form of the time.
    #[must_use]
    pub fn json() -> Self {
        let mut parts = Vec::new();
        for (name, field) in JSON_FIELDS {
            let mark = if parts.is_empty() { '{' } else { ',' };
            parts.push(Part::Literal(format!("{mark}\"{name}\":").into_bytes()));
            parts.push(Part::Json(*field));
        }
        parts.push(Part::Literal(b"}".to_vec()));
        Self(parts)
    }

    /// Reads a template. A field begins with `$`; other text stands for itself.
    ///
    /// # Errors
    /// See [`LineFormatError`].
    pub fn parse(template: &str) -> Result<Self, LineFormatError> {
        if template.contains(char::is_control) {
            return Err(LineFormatError::Control);
        }
        let mut parts = Vec::new();
        let mut is_quoted = false;
        let mut pieces = template.split('$');
        let mut literal = pieces.next().unwrap_or_default();
        for piece in pieces {
            is_quoted ^= literal.matches('"').count() % 2 == 1;
            push_literal(literal, &mut parts);
            let end = piece.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let (name, rest) = piece
                .split_at_checked(end.unwrap_or(piece.len()))
                .unwrap_or((piece, ""));
            let field = FIELDS.iter().find(|(known, _)| *known == name);
            let (_, field) = field.ok_or_else(|| LineFormatError::Unknown(name.to_owned()))?;
            let escape = if is_quoted {
                Escape::Quoted
            } else {
                Escape::Bare
            };
            parts.push(Part::Text(*field, escape));
            literal = rest;
        }
        if parts.iter().all(|part| matches!(part, Part::Literal(_))) {
            return Err(LineFormatError::NoField);
        }
        push_literal(literal, &mut parts);
        Ok(Self(parts))
    }

    /// Whether lines have a field: what nobody reads need not be measured.
    #[must_use]
    pub fn has(&self, wanted: Field) -> bool {
        self.0.iter().any(|part| match part {
            Part::Json(field) | Part::Text(field, _) => *field == wanted,
            Part::Literal(_) => false,
        })
    }

    /// Appends the line of a record, its end included.
    pub fn write(
        &self,
        record: &AccessRecord<'_>,
        setting: &LineSetting<'_>,
        moments: &mut MomentWriter,
        line: &mut Vec<u8>,
    ) {
        let mut setting = Setting {
            query: setting.query,
            data_centre: setting.data_centre,
            moments,
        };
        for part in &self.0 {
            let before = line.len();
            match part {
                Part::Literal(text) => line.extend_from_slice(text),
                Part::Text(field, escape) => field.write(record, &mut setting, *escape, line),
                Part::Json(field) => write_json(*field, record, &mut setting, line),
            }
            if line.len() == before {
                line.push(b'-');
            }
        }
        line.push(b'\n');
    }

    fn built_in(template: &str) -> Self {
        // A test reads them all.
        Self::parse(template).unwrap_or(Self(Vec::new()))
    }
}

fn push_literal(text: &str, parts: &mut Vec<Part>) {
    if !text.is_empty() {
        parts.push(Part::Literal(text.as_bytes().to_vec()));
    }
}

fn write_json(
    field: Field,
    record: &AccessRecord<'_>,
    setting: &mut Setting<'_>,
    line: &mut Vec<u8>,
) {
    let quote = !field.is_number();
    let before = line.len();
    if quote {
        line.push(b'"');
    }
    let begin = line.len();
    field.write(record, setting, Escape::Json, line);
    if line.len() == begin {
        line.truncate(before);
        line.extend_from_slice(b"null");
    } else if quote {
        line.push(b'"');
    }
}

/// The fields of a JSON line, in order.
const JSON_FIELDS: &[(&str, Field)] = &[
    ("time", Field::Time),
    ("client", Field::Client),
    ("user", Field::User),
    ("method", Field::Method),
    ("host", Field::Host),
    ("path", Field::Path),
    ("protocol", Field::Protocol),
    ("status", Field::Status),
    ("bytes_sent", Field::BytesSent),
    ("bytes_received", Field::BytesReceived),
    ("duration", Field::Duration),
    ("decision", Field::Decision),
    ("route", Field::Route),
    ("upstream", Field::Upstream),
    ("pool", Field::Pool),
    ("attempts", Field::Attempts),
    ("upstream_time", Field::UpstreamTime),
    ("request_id", Field::RequestId),
    ("tls", Field::Tls),
    ("listener", Field::Listener),
    ("referer", Field::Referer),
    ("user_agent", Field::UserAgent),
    ("data_centre", Field::DataCentre),
];

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::net::Ipv4Addr;
    use std::net::Ipv6Addr;
    use std::time::Duration;

    use super::*;
    use crate::logbook::access::AskedFor;
    use crate::logbook::access::Decision;
    use crate::logbook::access::Forwarded;
    use crate::model::id::RequestId;
    use crate::model::time::Timestamp;

    fn record() -> AccessRecord<'static> {
        AccessRecord {
            at: Timestamp::from_millis(1_795_356_306_789),
            client: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
            asked: Some(AskedFor {
                id: RequestId::from_bytes([0xab; 16]),
                method: "GET",
                path: "/a",
                query: Some("code=x&q=1"),
                protocol: "HTTP/1.1",
                referer: b"https://app.test/\"b?x=1",
                user_agent: b"curl/8 \"x\"",
            }),
            listener: "https",
            tls: "TLSv1.3",
            host: "app.test",
            route: "/",
            user: "alice cooper",
            decision: Decision::Allow,
            status: Some(200),
            bytes_sent: 1234,
            bytes_received: 0,
            duration: Duration::from_micros(12_345_678),
            upstream: Some(Forwarded {
                address: "10.0.0.1:80",
                pool: "work",
                attempts: 1,
                time: Some(Duration::from_millis(7)),
            }),
        }
    }

    fn nothing() -> AccessRecord<'static> {
        AccessRecord {
            asked: None,
            tls: "",
            host: "",
            route: "",
            user: "",
            decision: Decision::Malformed,
            status: None,
            upstream: None,
            client: IpAddr::V6(Ipv6Addr::LOCALHOST),
            ..record()
        }
    }

    fn written(format: &LineFormat, record: &AccessRecord<'_>, query: QueryRule) -> String {
        let setting = LineSetting {
            query,
            data_centre: "local",
        };
        let mut line = Vec::new();
        format.write(record, &setting, &mut MomentWriter::default(), &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn the_combined_format_is_that_of_other_servers() {
        let combined = LineFormat::combined();
        assert_eq!(
            written(&combined, &record(), QueryRule::Omit),
            "192.0.2.7 - alice\\x20cooper [22/Nov/2026:14:05:06 +0000] \"GET /a HTTP/1.1\" 200 1234 \
             \"https://app.test/\\x22b\" \"curl/8 \\x22x\\x22\"\n"
        );
        assert_eq!(
            written(&combined, &nothing(), QueryRule::Omit),
            "::1 - - [22/Nov/2026:14:05:06 +0000] \"- - -\" - 1234 \"-\" \"-\"\n"
        );
    }

    #[test]
    fn the_text_format_has_one_word_for_each_field() {
        assert_eq!(
            written(&LineFormat::text(), &record(), QueryRule::Values),
            "2026-11-22T14:05:06.789Z 192.0.2.7 alice\\x20cooper GET app.test/a?code=*&q=1 200 1234 12.345 \
             decision=allow route=/ upstream=10.0.0.1:80 upstream_time=0.007 tls=TLSv1.3 \
             id=abababababababababababababababab\n"
        );
    }

    #[test]
    fn a_json_line_is_one_object_with_null_for_what_there_is_not() {
        let line = written(&LineFormat::json(), &record(), QueryRule::Omit);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["user"], "alice cooper");
        assert_eq!(read["status"], 200);
        assert_eq!(read["duration"], 12.345);
        assert_eq!(read["user_agent"], "curl/8 \"x\"");
        assert_eq!(read.as_object().unwrap().len(), JSON_FIELDS.len());
        let line = written(&LineFormat::json(), &nothing(), QueryRule::Omit);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(read["status"].is_null() && read["user"].is_null() && read["path"].is_null());
        assert_eq!(read["decision"], "malformed");
    }

    #[test]
    fn every_field_can_stand_in_a_template_and_most_stand_in_a_json_line() {
        for (name, field) in FIELDS {
            let format = LineFormat::parse(&format!("${name}.")).unwrap();
            assert!(format.has(*field));
            assert!(written(&format, &record(), QueryRule::Omit).ends_with(".\n"));
            let in_json = LineFormat::json().has(*field);
            assert_eq!(in_json, *field != Field::TimeCombined, "{name}");
        }
        assert!(FIELDS.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn a_template_with_a_mistake_is_none() {
        let error = |template| LineFormat::parse(template).unwrap_err();
        assert_eq!(
            error("$clent"),
            LineFormatError::Unknown("clent".to_owned())
        );
        assert_eq!(error("$ 5"), LineFormatError::Unknown(String::new()));
        assert_eq!(error("a\n$client"), LineFormatError::Control);
        assert_eq!(error("client"), LineFormatError::NoField);
    }

    #[test]
    fn a_field_between_quotes_keeps_its_spaces() {
        let format = LineFormat::parse("\"$user\" $user").unwrap();
        let line = written(&format, &record(), QueryRule::Omit);
        assert_eq!(line, "\"alice cooper\" alice\\x20cooper\n");
    }
}
