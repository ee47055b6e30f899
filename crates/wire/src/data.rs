//! An event's payload inside a JSON frame: `"data":…` as it was written, or `"binary":"<base64>"`.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserialize, Deserializer, Serializer, ser::Error, ser::SerializeMap};
use serde_json::value::RawValue;
use sosik_core::Data;

/// Standard alphabet; written with padding, read with or without (RFC 4648 section 4).
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(crate) fn unbase64(text: &str) -> Result<Vec<u8>, &'static str> {
    BASE64.decode(text).map_err(|_| "`binary` is not base64; use the standard alphabet (RFC 4648 section 4)")
}

/// Keeps `null` apart from an absent field: `"data":null` is data.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

pub(crate) fn serialize<S: Serializer>(data: &Data, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(1))?;
    match data {
        Data::Json(text) => {
            let raw: &RawValue = serde_json::from_slice(text).map_err(S::Error::custom)?;
            map.serialize_entry("data", raw)?;
        }
        Data::Binary(bytes) => map.serialize_entry("binary", &BASE64.encode(bytes))?,
    }
    map.end()
}
