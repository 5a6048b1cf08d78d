"""The seventh venue's payloads as data: a small one of each kind. It sends nothing unread."""

from __future__ import annotations

from typing import Final

from tests.seventh.venue import wire
from venues.shapes import Shape

_MARKET = '{"name":"btc-usd","tick":"1","lot":"0.001","minimum":"10","leverage":50,"open":true}'
_PRICE = (
    '{"market":"btc-usd","mark":"40000","index":"40000","middle":"40000","funding":"0.00001",'
    '"interest":"9","volume":"9"}'
)
_CANDLE = (
    '{"market":"btc-usd","span":"1m","start":60000,"end":120000,"open":"1","high":"3","low":"1",'
    '"close":"2","volume":"9"}'
)
_ORDER = (
    '{"account":"acc1","id":7,"tag":"0a","market":"btc-usd","side":"buy","price":"1","size":"2",'
    '"filled":"1","average":"1","status":"open","why":null,"reduces":false,"made":1,"changed":2}'
)
_FILL = (
    '{"account":"acc1","id":8,"order":7,"tag":"0a","market":"btc-usd","side":"buy","price":"1",'
    '"size":"1","fee":"0.1","gain":"0","takes":true,"forced":false,"time":2}'
)
_ACCOUNT = (
    '{"account":"acc1","worth":"100","free":"90","margin":"10","least":"5","maker":"0.0001",'
    '"taker":"0.0004","positions":[{"market":"btc-usd","size":"-1","entry":"1","value":"1",'
    '"gain":"0","margin":"0.1","leverage":10,"liquidation":null}],"time":2}'
)
_TRADE = '{"market":"btc-usd","id":9,"side":"sell","price":"1","size":"1","time":2}'
_BOOK = '{"market":"btc-usd","bids":[["1","2"]],"asks":[["3","4"]],"time":2}'

SHAPES: Final = (
    Shape(
        channel="any answer",
        kind=wire.Answer,
        sample='{"ok":true,"time":1,"data":[],"error":{"code":"price","text":"tick"}}',
    ),
    Shape(
        channel="any message of the socket",
        kind=wire.Frame,
        sample='{"topic":"book:btc-usd","ok":true,"data":{},"error":null}',
    ),
    Shape(channel="GET markets", kind=list[wire.Market], sample=f"[{_MARKET}]"),
    Shape(channel="GET prices", kind=list[wire.Price], sample=f"[{_PRICE}]"),
    Shape(channel="socket price", kind=wire.Price, sample=_PRICE),
    Shape(channel="GET book, socket book", kind=wire.Book, sample=_BOOK),
    Shape(channel="socket trades", kind=list[wire.Trade], sample=f"[{_TRADE}]"),
    Shape(channel="GET candles", kind=list[wire.Candle], sample=f"[{_CANDLE}]"),
    Shape(channel="socket candles", kind=wire.Candle, sample=_CANDLE),
    Shape(channel="POST place, cancel", kind=wire.Order, sample=_ORDER),
    Shape(channel="GET order, open, ended", kind=list[wire.Order], sample=f"[{_ORDER}]"),
    Shape(channel="GET fills", kind=list[wire.Fill], sample=f"[{_FILL}]"),
    Shape(channel="GET account", kind=wire.Account, sample=_ACCOUNT),
    Shape(channel="GET leverage", kind=wire.Leverage, sample='{"market":"btc-usd","leverage":10}'),
    Shape(
        channel="POST whoami",
        kind=wire.Key,
        sample='{"account":"acc1","rights":["trade"],"until":4000000000000}',
    ),
    Shape(
        channel="socket account",
        kind=wire.News,
        sample=f'{{"orders":[{_ORDER}],"fills":[{_FILL}],"account":{_ACCOUNT}}}',
    ),
)
