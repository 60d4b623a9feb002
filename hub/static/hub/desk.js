"use strict";
/* The desk by keyboard: whatever on a page carries data-key is pressed, or entered, by that key; rows of a list are
   walked by j and k; ? shows what there is. On a case's page it keeps the claim alive. Without it everything works, by
   mouse, and a claim ends after a quarter of an hour. */
(() => {
    const FIELDS = "input:not([type=checkbox]):not([type=submit]), select, textarea";

    /* ---- the keys of this page: a button, a link, or a label that stands for its field */
    function bound() {
        const keys = new Map();
        for (const element of document.querySelectorAll("[data-key]")) keys.set(element.dataset.key, element);
        return keys;
    }

    function press(element) {
        if (element.tagName !== "LABEL") element.click();
        else document.getElementById(element.htmlFor)?.focus();
    }

    /* ---- the rows of a list */
    const rows = [...document.querySelectorAll("#result_list tbody tr")];
    let at = -1;

    function walk(step) {
        rows[at]?.classList.remove("at");
        at = Math.max(0, Math.min(rows.length - 1, at + step));
        rows[at].classList.add("at");
        rows[at].scrollIntoView({ block: "nearest" });
        rows[at].querySelector("a")?.focus({ preventScroll: true });
    }

    function onRow(key) {
        if (!rows.length) return false;
        if (key === "j") walk(1);
        else if (key === "k") walk(-1);
        else if (key === "o" && at >= 0) rows[at].querySelector("th a, td.field-identity a, td a")?.click();
        else if (key === "x" && at >= 0) rows[at].querySelector("input.action-select")?.click();
        else return false;
        return true;
    }

    /* ---- what ? shows */
    const map = document.getElementById("keys");

    function line(list, key, does) {
        const term = document.createElement("dt");
        const kbd = document.createElement("kbd");
        kbd.textContent = key;
        term.append(kbd);
        const meaning = document.createElement("dd");
        meaning.textContent = does;
        list.append(term, meaning);
    }

    function show() {
        const list = map.querySelector("dl");
        list.replaceChildren();
        for (const [key, element] of bound()) line(list, key, element.dataset.does || element.textContent.trim().toLowerCase());
        if (rows.length) {
            line(list, "j", "next row");
            line(list, "k", "row before");
            line(list, "o", "open the row");
            if (document.querySelector("input.action-select")) line(list, "x", "tick the row");
        }
        line(list, "Esc", "leave a field");
        line(list, "?", "these keys");
        map.showModal();
    }

    document.querySelector("[data-shows-keys]")?.addEventListener("click", show);
    document.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey || !map || map.open) return;
        if (event.target.closest(FIELDS)) {
            if (event.key === "Escape") event.target.blur();
            return;
        }
        if (event.repeat && !"jk".includes(event.key)) return; // a key held down presses nothing twice
        const element = bound().get(event.key);
        if (event.key === "?") show();
        else if (element) press(element);
        else if (!onRow(event.key)) return;
        event.preventDefault();
    });

    /* ---- the claim of a case */
    const form = document.querySelector("form.decision[data-heartbeat]");
    if (!form) return;
    const said = document.getElementById("lease");
    let isLost = false;

    async function beat() {
        if (isLost || document.hidden) return;
        const sent = new FormData();
        sent.set("token", form.elements.token.value);
        sent.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
        const answer = await fetch(form.dataset.heartbeat, {
            method: "POST",
            body: sent,
            credentials: "same-origin",
            headers: { "X-By-Itself": "yes" }, // a page left open does not keep its session from ending
        });
        if (answer.status === 409) {
            isLost = true;
            said.textContent = (await answer.json()).refused;
        }
    }

    setInterval(() => beat().catch(() => {}), 60000);
})();
