"use strict";
/* The desk's page of a case: keeps the claim alive while the page is open, and gives its buttons keys. Without it
   everything works, by mouse, and a claim ends after a quarter of an hour. */
(() => {
    const form = document.querySelector("form.decision");
    if (!form) return;
    const said = document.getElementById("lease");
    const KEYS = { c: "claim", d: "decide", s: "skip", g: "release", u: "undo" };
    const HELP = "c claim · d decide · s pass over · g give back · u undo · r reason · t comment · ? this help";
    let isLost = false;

    async function beat() {
        if (isLost || document.hidden || !form.dataset.heartbeat) return;
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

    document.addEventListener("keydown", (event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.target.closest("input, select, textarea")) {
            if (event.key === "Escape") event.target.blur();
            return;
        }
        if (event.key === "?") said.textContent = said.textContent === HELP ? "" : HELP;
        else if (event.key === "r") form.elements.decision?.focus();
        else if (event.key === "t") form.elements.text.focus();
        else if (KEYS[event.key]) form.querySelector(`button[value="${KEYS[event.key]}"]`)?.click();
        else return;
        event.preventDefault();
    });
    setInterval(() => beat().catch(() => {}), 60000);
})();
