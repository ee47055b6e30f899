//! What tells one publish from another under the same name.

use crate::event::{Data, Draft};

/// A number that is the same for the same drafts, in every release: it is stored. It finds mistakes, not attacks: whoever
/// could forge it could as well not publish.
pub(super) fn hash(drafts: &[Draft]) -> u64 {
    let mut mixer = Mixer(SEED);
    for draft in drafts {
        let kind: &[u8] = if matches!(draft.data, Data::Binary(_)) { b"binary" } else { b"json" };
        mixer.field(draft.channel.as_str().as_bytes());
        mixer.field(draft.name.as_bytes());
        mixer.field(kind);
        mixer.field(draft.data.bytes());
        mixer.field(draft.content_type.as_bytes());
        mixer.word(draft.meta.len() as u64);
        for (key, value) in &draft.meta {
            mixer.field(key.as_bytes());
            mixer.field(value.as_bytes());
        }
    }
    mixer.end()
}

/// Takes in words of eight bytes, each by a product twice as wide, of which both halves are kept: no bit stays alone.
struct Mixer(u64);

impl Mixer {
    /// Bytes with their length, so that what is moved from one field to the next is seen.
    fn field(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    fn word(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(STEP);
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn end(mut self) -> u64 {
        self.word(SEED);
        self.0
    }
}

/// Odd numbers without a pattern: the fractions of the golden ratio and of the square root of 2, in 64 bits.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
const SEED: u64 = 0x6a09_e667_f3bc_c909;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use super::*;
    use crate::name::ChannelName;

    fn draft(data: Data) -> Draft {
        let mut draft = Draft::json(ChannelName::parse("room:7").unwrap(), "");
        draft.data = data;
        draft
    }

    // Mutant: the length of a field left out -> "ab" + "c" is "a" + "bc".
    #[test]
    fn every_field_of_a_draft_counts() {
        let base = || draft(Data::Json("1".into()));
        let mut all = vec![vec![base()], vec![base(), base()]];
        all.extend([Data::Binary("1".into()), Data::Json("12".into())].map(|data| vec![draft(data)]));
        for (name, content_type) in [("ab", "c"), ("a", "bc"), ("abc", ""), ("", "abc")] {
            all.push(vec![Draft { name: name.into(), content_type: content_type.into(), ..base() }]);
        }
        for meta in [[("a", "b")].as_slice(), &[("a", ""), ("b", "")], &[("ab", "")]] {
            let meta = meta.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            all.push(vec![Draft { meta, ..base() }]);
        }
        all.push(vec![Draft { channel: ChannelName::parse("room:8").unwrap(), ..base() }]);
        let told: HashSet<u32> = all.iter().map(|drafts| hash(drafts) as u32).collect();
        assert_eq!(told.len(), all.len());
    }

    // Mutant: any other constant or step -> what an earlier release stored is another body.
    #[test]
    fn it_is_the_same_in_every_release() {
        let drafts = [draft(Data::Json("{\"a\":1}".into())), draft(Data::Binary(vec![0; 100].into()))];
        assert_eq!(
            [hash(&drafts[..1]), hash(&drafts[1..]), hash(&drafts)],
            [9_701_154_399_598_083_391, 16_107_597_739_238_901_999, 16_568_687_938_796_217_701]
        );
    }

    /// Neighbours, lengths and single bits, in the 32 bits that a producer's ring keeps of it.
    // Mutant: only the lower half of the product kept -> single bits of neighbouring words meet.
    #[test]
    fn similar_bodies_are_told_apart() {
        let numbers = (0..3_000_u32).map(|number| number.to_string().into_bytes());
        let lengths = (0..500).map(|length| vec![0; length]);
        let bits = (0..800).map(|bit| {
            let mut data = vec![0x55; 100];
            data[bit / 8] ^= 1 << (bit % 8);
            data
        });
        let all: Vec<_> = numbers.chain(lengths).chain(bits).collect();
        let told = all.iter().map(|data| hash(&[draft(Data::Binary(data.clone().into()))]) as u32);
        assert_eq!(told.collect::<HashSet<_>>().len(), all.len());
    }
}
