//! What rule 4 is there to see of a SKU.

use stock_svc::store::books::{Books, Level};

use super::*;

fn books(on_hand: i64, held: i64) -> Evidence {
    let level = Some(Level { sku: "TEA".to_owned(), on_hand, held });
    Evidence { books: BTreeMap::from([("TEA".to_owned(), Books { level, moved: 10, held: 2 })]), ..Evidence::default() }
}

#[test]
fn a_level_that_is_not_what_its_movements_and_holds_add_up_to_is_seen() {
    holds(goods::levels, &books(10, 2));
    is_broken(goods::levels, &books(11, 2), "11 are on hand, its movements add up to 10");
    is_broken(goods::levels, &books(10, 3), "3 are held, its live holds add up to 2");
    let mut none = books(10, 2);
    none.books.get_mut("TEA").unwrap().level = None;
    is_broken(goods::levels, &none, "it has movements or holds, and no level");
    let mut oversold = books(10, 2);
    *oversold.books.get_mut("TEA").unwrap() = Books { moved: 1, ..oversold.books["TEA"].clone() };
    oversold.books.get_mut("TEA").unwrap().level.as_mut().unwrap().on_hand = 1;
    is_broken(goods::levels, &oversold, "1 are on hand and 2 held");
}
