/// Declares an enum each of whose variants has a name: on the wire, in a table, in an answer. The word after the enum is
/// what asks for it; `ALL` has all of them in this order, and `from_name` reads one.
///
/// ```
/// shared_events::named! {
///     #[derive(Clone, Copy, Debug, PartialEq)]
///     pub enum Size: name {
///         Small = "small",
///         Large = "large",
///     }
/// }
/// assert_eq!(Size::from_name("large"), Some(Size::Large));
/// assert_eq!(Size::ALL.map(Size::name), ["small", "large"]);
/// ```
#[macro_export]
macro_rules! named {
    ($(#[$meta:meta])* pub enum $enum:ident: $get:ident {
        $($(#[$doc:meta])* $variant:ident = $name:literal,)+
    }) => {
        $(#[$meta])*
        pub enum $enum { $($(#[$doc])* $variant,)+ }

        #[allow(dead_code, reason = "not every enum needs all of it")]
        impl $enum {
            /// All of them, in the order of their declaration.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant,)+];

            /// Its name.
            pub const fn $get(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The one of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|known| known.$get() == name)
            }
        }
    };
}
