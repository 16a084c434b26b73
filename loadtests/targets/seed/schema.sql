-- CloudShelf on PostgreSQL: the relational side, and carts and sessions as DynamoDB's baseline.
-- Identifiers are text because CloudShelf's are ("book-978…", "sess-2024…"), whatever their form.
-- `if not exists` throughout: running it again changes nothing.

create table if not exists books (
    book_id   text primary key,
    title     text not null,
    price     numeric(10, 2) not null check (price >= 0),
    image_url text not null
);

create table if not exists users (
    user_id    text primary key,
    email      text not null unique,
    name       text not null,
    created_at timestamptz not null
);

create table if not exists orders (
    order_id     text primary key,
    user_id      text not null references users,
    total_amount numeric(12, 2) not null check (total_amount >= 0),
    status       text not null check (status in ('placed', 'paid', 'shipped', 'delivered', 'cancelled')),
    created_at   timestamptz not null
);

create index if not exists orders_by_user on orders (user_id, created_at);

create table if not exists carts (
    user_id        text not null references users,
    book_id        text not null references books,
    quantity       smallint not null constraint carts_quantity_1_to_99 check (quantity between 1 and 99),
    added_at       timestamptz not null,
    updated_at     timestamptz not null,
    book_title     text not null,
    book_price     numeric(10, 2) not null,
    book_image_url text not null,
    primary key (user_id, book_id)
);

-- session_data: {"preferences": {…}, "browsing_history": […], "search_history": […]}
-- cart_summary: {"item_count": n, "total_amount": n, "last_updated": "ISO 8601"}
create table if not exists sessions (
    session_id    text primary key,
    user_id       text not null references users,
    session_data  jsonb not null,
    cart_summary  jsonb not null,
    last_activity timestamptz not null,
    created_at    timestamptz not null,
    expires_at    timestamptz not null,
    ip_address    text not null,
    user_agent    text not null
);

create index if not exists sessions_by_expiry on sessions (expires_at);
