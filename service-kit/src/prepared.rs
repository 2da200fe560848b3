//! Hand-written statements that stay prepared on their connection.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};

/// Defines a statement with a static query id. diesel doesn't cache `update ... from`, upserts and inserts of many
/// rows, so these would be parsed each time. This statement is parsed once a connection, whatever the number of rows
/// in its arrays.
///
/// Each `?` in the text stands for one field, in order.
///
/// ```
/// use diesel::sql_types::{Array, BigInt, Text};
///
/// service_kit::prepared! {
///     /// Sets what is on hand of many SKUs.
///     struct SaveLevels<'a> { skus: Vec<&'a str> as Array<Text>, on_hand: Vec<i64> as Array<BigInt> };
///     "update levels set on_hand = new.on_hand from unnest(?, ?) as new (sku, on_hand) where levels.sku = new.sku"
/// }
/// let statement = SaveLevels { skus: vec!["TEA"], on_hand: vec![3] };
/// assert!(diesel::debug_query::<diesel::pg::Pg, _>(&statement).to_string().contains("unnest($1, $2)"));
/// ```
#[macro_export]
macro_rules! prepared {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident<$lifetime:lifetime> { $($field:ident: $value:ty as $sql:ty),+ $(,)? } $(-> $row:ty)?;
        $text:expr
    ) => {
        $(#[$meta])*
        $vis struct $name<$lifetime> { $($vis $field: $value),+ }

        impl ::diesel::query_builder::QueryFragment<::diesel::pg::Pg> for $name<'_> {
            fn walk_ast<'b>(
                &'b self,
                mut out: ::diesel::query_builder::AstPass<'_, 'b, ::diesel::pg::Pg>,
            ) -> ::diesel::QueryResult<()> {
                let mut text = $text.split('?');
                $(
                    out.push_sql(text.next().unwrap_or_default());
                    out.push_bind_param::<$sql, _>(&self.$field)?;
                )+
                out.push_sql(text.next().unwrap_or_default());
                Ok(())
            }
        }

        impl ::diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        $(
            impl ::diesel::query_builder::Query for $name<'_> {
                type SqlType = $row;
            }
        )?
    };
}

/// Statements that write, as one: each is a part of one `with`, so that PostgreSQL is asked once, whatever the number of
/// tables. They all see the database as it was before, so none may need what another writes. One that fails undoes all.
///
/// ```
/// use diesel::sql_types::Text;
/// use service_kit::Together;
///
/// service_kit::prepared! { struct A<'a> { name: &'a str as Text }; "insert into a values (?)" }
/// service_kit::prepared! { struct B<'a> { name: &'a str as Text }; "insert into b values (?)" }
/// let both = Together((A { name: "x" }, B { name: "y" }));
/// let text = diesel::debug_query::<diesel::pg::Pg, _>(&both).to_string();
/// assert!(text.starts_with("with part_0 as (insert into a values ($1)), part_1 as (insert into b values ($2)) select"));
/// ```
pub struct Together<T>(pub T);

macro_rules! together {
    ($($part:ident $index:tt),+) => {
        impl<$($part: QueryFragment<Pg>),+> QueryFragment<Pg> for Together<($($part,)+)> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                $(
                    out.push_sql(if $index == 0 { "with " } else { ", " });
                    out.push_sql(concat!("part_", stringify!($index), " as ("));
                    self.0.$index.walk_ast(out.reborrow())?;
                    out.push_sql(")");
                )+
                out.push_sql(" select");
                Ok(())
            }
        }

        impl<$($part: QueryId),+> QueryId for Together<($($part,)+)> {
            type QueryId = Together<($($part::QueryId,)+)>;
            const HAS_STATIC_QUERY_ID: bool = $($part::HAS_STATIC_QUERY_ID)&&+;
        }
    };
}

together!(A 0, B 1);
together!(A 0, B 1, C 2);
together!(A 0, B 1, C 2, D 3);
together!(A 0, B 1, C 2, D 3, E 4);

impl<T, Conn> diesel::RunQueryDsl<Conn> for Together<T> {}
