//! Hand-written statements that stay prepared on their connection.

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
