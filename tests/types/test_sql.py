"""The tables a statement touches, in the dialects and the states in which agents write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.types.sql import CHARS_MAX, DEPTH_MAX, is_sql, tables_of

STATEMENTS = {
    "SELECT * FROM orders WHERE a = 1": ("orders",),
    "select * from Public.Orders o, [dbo].[Customers] c, `proj.ds.events`": ("orders", "customers", "proj.ds.events"),
    'select 1 from "Sales"."Order Lines"': ("sales.order lines",),
    "WITH orders AS (SELECT * FROM orders WHERE x) SELECT * FROM orders JOIN b USING (id)": ("orders", "b"),
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t) SELECT * FROM t": (),
    "with a as (select 1 from x), b as not materialized (select * from a join y on 1=1) select * from b": ("x", "y"),
    "select extract(year from day), trim(both 'x' from n) from sales where a is distinct from b": ("sales",),
    "select * from (select * from inner_t) q join lateral (select 1 from z) w on true": ("inner_t", "z"),
    "insert into archive.orders (a,b) select a,b from staging_orders": ("archive.orders", "staging_orders"),
    "update accounts set x = 1 from moves where 1=1": ("accounts", "moves"),
    "delete from t using u where t.id=u.id": ("t", "u"),
    "merge into t using s on t.id=s.id when matched then update set a=1": ("t", "s"),
    "insert into t (a) values (1) on conflict (a) do update set a = excluded.a": ("t",),
    "select 1 from t for update of t": ("t",),
    "-- from nothing\nselect /* from no */ 'from here' from t": ("t",),
    "select 'it''s from x', $$ from y $$, $q$ from z $q$ from t": ("t",),
    "select * from generate_series(1,10) g, unnest(x) u, real_t": ("real_t",),
    "select * from t where id in (select id from u where x in (select y from v))": ("t", "u", "v"),
    "select * from (a join b on a.x=b.x)": ("a", "b"),
    "create temp table tmp as select * from big; select * from big join c on 1=1": ("big", "c"),
    "create table tmp as select * from big join tmp": ("big",),
    "select * from {{ ref('orders') }} join x on 1": ("x",),
    "select * from 'file.csv'": (),
    "select * from :name join @t join $1": (),
    "select a from t1 union all select b from t2 order by 1 desc": ("t1", "t2"),
    "from duck select x": ("duck",),
    "select * from a left outer join only b on 1=1 cross join c": ("a", "b", "c"),
    "truncate table x; drop table if exists y": ("x", "y"),
    "select * from a..b": ("a.b",),
    "select * from": (),
    "select * from orders where name = 'never closed": ("orders",),
    "select * from orders /* never closed": ("orders",),
    "": (),
}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_tables_of_a_statement_are_read(statement: str) -> None:
    """Tables are found in order; names that the statement defines, functions, strings and comments are none."""
    assert tables_of(statement) == STATEMENTS[statement]


@pytest.mark.parametrize(
    "text",
    ["select the best hotel", "update the customer", "With best regards, Ann", "delete it", "drop me a line", "42", ""],
)
def test_a_sentence_is_no_statement(text: str) -> None:
    """Verbs that also begin a statement make none without the words that belong to it."""
    assert not is_sql(text)


@pytest.mark.parametrize(
    "text", ["  select 1 from t", "-- why\nSELECT a\nFROM t", "(select a from b)", "update t set a=1"]
)
def test_a_statement_is_known_behind_comments_and_parentheses(text: str) -> None:
    """What stands before the first word does not hide a statement."""
    assert is_sql(text)


@given(st.text(alphabet="select from join()';,.\"`[]-/*$ab\\\n", max_size=300))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever is written, the reader returns names, none of them empty."""
    assert all(tables_of(text))


@given(st.sampled_from(sorted(STATEMENTS)), st.sampled_from([" ", "\n", "\t", " /* from x */ "]))
def test_layout_does_not_matter(statement: str, gap: str) -> None:
    """More space or a comment between statement and table changes nothing."""
    assert tables_of(f"{gap}{statement}") == STATEMENTS[statement]


def test_the_work_is_bounded() -> None:
    """What stands beyond the limits of length and depth is not read."""
    gap, deep = " " * CHARS_MAX, "(" * (DEPTH_MAX + 1)
    assert tables_of(gap.join(("select a from t", "join u"))) == ("t",)
    assert tables_of(deep.join(("select a from t where ", "select 1 from u"))) == ("t",)
