//! Pictures of products: drawn from the SKU alone, so that each product always has the same one.

use std::fmt::Write as _;

/// What is drawn for a kind of product, in a square of 60 around the origin.
const LEAF: &str = "<path d=\"M-26 20C-24-12 0-28 27-26 28 2 10 24-22 22M-26 26C-16 10-4-2 12-12\"/>";
const BEAN: &str = "<path d=\"M-18 20C-32 2-18-24 2-24 24-24 28 0 14 16 4 28-10 28-18 20M-16 18C-8-2 12 2 12-20\"/>";
const CUP: &str = "<path d=\"M-24-10H16V8C16 20 8 26-4 26S-24 20-24 8ZM16-4H22C30-4 30 12 16 12M-12-18C-16-24-8-26-12-32M2-18C-2-24 6-26 2-32\"/>";
const JAR: &str =
    "<path d=\"M-14-28H14V-20H-14ZM-20-14C-20-20 20-20 20-14V22C20 28-20 28-20 22ZM-20-2H20M-20 14H20\"/>";
const GIFT: &str = "<path d=\"M-26-10H26V2H-26ZM-22 2H22V28H-22ZM0-10V28M0-10C-8-30-24-22 0-10 24-22 8-30 0-10\"/>";
const BOX: &str = "<path d=\"M-24-12 0-24 24-12V14L0 26-24 14ZM-24-12 0 0 24-12M0 0V26\"/>";

const TINTS: u64 = 6;

/// A picture for a product, as SVG. It says nothing that the text beside it does not, so it is hidden from readers.
pub fn of(sku: &str) -> String {
    let mut chance = Chance::of(sku);
    let (ground, other) = (chance.below(TINTS), chance.below(TINTS));
    let mut art = String::from(
        "<svg viewBox=\"0 0 160 100\" aria-hidden=\"true\" focusable=\"false\" preserveAspectRatio=\"xMidYMid slice\">",
    );
    // Writing into a text can't fail.
    let _ = write!(art, "<rect class=\"tint-{ground}\" width=\"160\" height=\"100\"/>");
    for _ in 0..3 + chance.below(3) {
        let (x, y, radius) = (chance.below(160), chance.below(100), 12 + chance.below(34));
        let class = if chance.below(2) == 0 { "light".to_owned() } else { format!("tint-{other}") };
        let _ = write!(art, "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill-opacity=\".45\"/>");
    }
    let turned = i64::try_from(chance.below(25)).unwrap_or_default() - 12;
    let _ = write!(
        art,
        "<g transform=\"translate(80 50) rotate({turned})\" fill=\"#fff\" fill-opacity=\".18\" stroke=\"#fff\" \
         stroke-width=\"3\" stroke-linejoin=\"round\" stroke-linecap=\"round\">{}</g></svg>",
        glyph(sku)
    );
    art
}

/// SKUs begin with what a product is.
fn glyph(sku: &str) -> &'static str {
    match sku.split('-').next().unwrap_or_default() {
        "TEA" => LEAF,
        "COF" => BEAN,
        "WARE" => CUP,
        "FOOD" => JAR,
        "GIFT" => GIFT,
        _ => BOX,
    }
}

/// Numbers that a text determines (FNV-1a, and then xorshift*).
struct Chance(u64);

impl Chance {
    fn of(text: &str) -> Self {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(hash | 1)
    }

    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_product_always_has_the_same_picture_and_another_than_its_neighbours() {
        assert_eq!(of("TEA-ASSAM-250"), of("TEA-ASSAM-250"));
        let skus = ["TEA-ASSAM-250", "TEA-CHAI-250", "COF-HOUSE-500", "WARE-SCALE", "FOOD-HONEY-340", "X"];
        assert_eq!(skus.map(of).into_iter().collect::<BTreeSet<_>>().len(), skus.len());
    }

    #[test]
    fn a_picture_holds_nothing_of_what_it_was_made_from_and_no_style() {
        let art = of("<script>\" style=");
        assert!(!art.contains("script") && !art.contains("style") && art.ends_with("</svg>"), "{art}");
    }
}
