// The tag: counts page views and whatever the page tells it, and gets both to the collector. docs/tag.md is its manual.
//
// An event is written down as JSON once, with an id of its own, and stays in `queue` until the collector has answered for
// it; whatever is sent twice is counted once, because the id is the same. One request is under way at a time, so that the
// second one of a new visitor already carries the cookie that the first one brought. Nothing is stored in the browser, and
// nothing here may throw into the page.
//
// `make generate` minifies this file into t.min.js. The collector replaces the two paths at its end by those of the site.
(function (w, d, nav, eventsPath, pixelPath) {
  "use strict";

  const MAX_QUEUE = 100; // events that wait; beyond it the oldest is given up
  const MAX_BYTES = 16e3; // of one request: browsers allow 64 KiB to all that outlive their page together
  const MAX_PAUSE = 300; // seconds between two tries
  const MAX_TRIES = 12; // in a row; then only the next event or the network's return brings another one
  const FIELDS = ["id", "order_id", "value", "currency", "items"]; // have a meaning of their own; all else is a property

  const script = d.currentScript || d.querySelector("script[data-site]");
  const options = script ? script.dataset : {};
  const url = path => new URL(path, script.src).href;

  let queue = []; // {body: JSON, size: its bytes, gone: handed to the browser since the page was hidden}
  let consent; // 1 or 0 once the page has said so
  let user; // whom the page has identified
  let referrer = d.referrer;
  let seen; // URL of the last page view
  let late; // timer of a page view whose title is not known yet
  let busy; // a request is under way
  let timer; // of the next try
  let failures = 0; // in a row
  let leaving; // the page is hidden, and may never be seen again
  let blind = 0; // answers that were not for us to read (CORS); -1 once one was

  const safe = f => function () {
    try {
      return f.apply(this, arguments);
    } catch (_) { /* the page must not suffer */ }
  };

  const address = () => options.hash == "on" ? location.href : location.href.split("#")[0];

  const refused = () => options.consent == "wait" && consent === 0;
  const waits = () => options.consent == "wait" && consent !== 1;

  // Amounts have at most six decimals, which 0.1 + 0.2 has not.
  const text = event => JSON.stringify(event, (_, value) => typeof value == "number" ? +value.toFixed(6) : value);

  function emit(name, fields, props) {
    if (late) view();
    if (refused()) return;
    const event = Object.assign({
      id: crypto.randomUUID ? crypto.randomUUID() : crypto.getRandomValues(new Uint32Array(4)).join("-"),
      e: name, u: location.href, r: referrer, t: d.title, ts: Date.now(), uid: user,
    }, fields, {props});
    let body;
    try {
      body = text(event);
    } catch (_) { // a cycle
      delete event.props;
      delete event.items;
      body = text(event);
    }
    queue.push({body, size: new Blob([body]).size});
    if (queue.length > MAX_QUEUE) queue.shift();
    if (leaving) depart();
    else Promise.resolve().then(flush);
  }

  // The events at the head of the list that fit into one request, at least one.
  function batch(list) {
    let size = 0;
    return list.filter((event, i) => (size += event.size) < MAX_BYTES || !i);
  }

  const payload = list => "[" + list.map(event => event.body) + "]";

  function query(fields) {
    const all = Object.assign({site: options.site, sent: Date.now()}, fields);
    if (consent >= 0) all.c = consent;
    for (const name in all.props) all["p." + name] = all.props[name];
    delete all.props;
    for (const name in all) if (all[name] === Object(all[name])) all[name] = text(all[name]);
    return "?" + new URLSearchParams(all);
  }

  const image = event => new Promise((resolve, reject) => {
    const img = new Image();
    img.onload = resolve;
    img.onerror = reject;
    img.src = url(pixelPath) + query(JSON.parse(event.body));
  });

  // Returns the events that are done with, or throws the seconds to wait.
  // A browser does not say whether nobody answered or the answer is withheld from this page because the site does not list
  // its origin. So a request that fails goes once more without asking for the answer, unless answers could be read before.
  async function deliver(list) {
    for (const mode of !w.fetch ? [] : blind < 0 ? ["cors"] : blind > 1 ? ["no-cors"] : ["cors", "no-cors"]) {
      let answer;
      try {
        answer = await w.fetch(url(eventsPath) + query(), {
          method: "POST", body: payload(list), mode, credentials: "include", keepalive: !failures && list[0].size < 6e4,
          signal: w.AbortSignal && AbortSignal.timeout && AbortSignal.timeout(3e4),
        });
      } catch (_) {
        continue;
      }
      if (mode != "cors") {
        blind++;
        return list;
      }
      blind = -1;
      if (answer.status > 499 || answer.status == 429 || answer.status == 408) throw +answer.headers.get("Retry-After");
      return list; // stored, or refused for good
    }
    if (blind < 0) throw 0;
    await image(list[0]);
    return [list[0]];
  }

  function flush() {
    if (busy || timer || leaving || waits() || !queue.length) return;
    busy = true;
    deliver(batch(queue)).then(done => {
      queue = queue.filter(event => !done.includes(event));
      busy = failures = 0;
      flush();
    }, after => {
      busy = 0;
      const pause = Math.max(after || 0, Math.min(2 ** failures, MAX_PAUSE)) * (1 + Math.random() / 2);
      if (++failures < MAX_TRIES) timer = setTimeout(resume, pause * 1e3);
    });
  }

  function resume() {
    clearTimeout(timer);
    timer = 0;
    flush();
  }

  // Hands over what is not acknowledged, what is under way too: the browser sends it even if the page is gone.
  function depart() {
    leaving = true;
    if (late) view();
    for (let list; !waits() && (list = batch(queue.filter(event => !event.gone))).length;) {
      list.forEach(event => { event.gone = 1; });
      if (!nav.sendBeacon || !nav.sendBeacon(url(eventsPath) + query(), payload(list))) {
        list.forEach(event => image(event).catch(() => {}));
      }
    }
  }

  // Nobody has told what became of the beacons, so their events are sent again.
  function arrive() {
    leaving = false;
    queue.forEach(event => { event.gone = 0; });
    resume();
  }

  function view(again) {
    clearTimeout(late);
    late = 0;
    const now = address();
    if (now == seen && !again) return;
    if (seen && now != seen) referrer = seen;
    seen = now;
    emit("page_view", {}, options.hash == "on" && location.hash ? {hash: location.hash} : undefined);
  }

  // Applications set the title after the URL, and often the URL twice.
  function navigated() {
    late = late || setTimeout(safe(() => view()));
  }

  const commands = {
    track(name, given) {
      if (!name) return;
      const fields = {}, props = Object.assign({}, given);
      FIELDS.forEach(field => {
        if (props[field] != null) fields[field] = props[field];
        delete props[field];
      });
      emit("" + name, fields, props);
    },
    identify(id) {
      user = id;
      if (id) emit("identify");
    },
    // A thank-you page that is loaded again is the same event.
    order(order) {
      commands.track("purchase", Object.assign(order.order_id ? {id: "order-" + order.order_id} : {}, order));
    },
    consent(value) {
      consent = value == 1 ? 1 : 0;
      if (refused()) queue = [];
      resume();
    },
  };

  const start = safe(() => {
    const stub = w.onepx;
    if (!script || stub && stub.on) return; // lost, or in the page twice
    const onepx = w.onepx = safe((command, ...args) => commands[command](...args));
    onepx.on = true;
    const listen = (target, type, f) => target.addEventListener(type, safe(f));
    listen(d, "visibilitychange", () => d.visibilityState == "hidden" ? depart() : arrive());
    listen(w, "pagehide", depart);
    listen(w, "pageshow", event => {
      if (!event.persisted) return;
      arrive();
      if (options.auto != "off") view(true);
    });
    listen(w, "online", () => {
      failures = 0;
      resume();
    });
    if (options.auto != "off") {
      ["pushState", "replaceState"].forEach(name => {
        const original = history[name];
        history[name] = function () {
          const result = original.apply(this, arguments);
          navigated();
          return result;
        };
      });
      listen(w, "popstate", navigated);
      listen(w, "hashchange", navigated);
      view();
    }
    [].forEach.call(stub && stub.q || [], call => onepx(...call));
  });

  // A page that is made ready ahead of a visit is no visit yet.
  if (d.prerendering) d.addEventListener("prerenderingchange", start);
  else start();
})(window, document, navigator, "/e", "/p.gif");
