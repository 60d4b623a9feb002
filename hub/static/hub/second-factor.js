// Lets a security key answer: reads the question from the form, and sends the answer with it. Nothing else.
"use strict";
(() => {
  const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const toText = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const descriptors = (list) => (list || []).map((one) => ({ ...one, id: toBytes(one.id) }));

  const create = async (asked) => {
    const publicKey = {
      ...asked,
      challenge: toBytes(asked.challenge),
      user: { ...asked.user, id: toBytes(asked.user.id) },
      excludeCredentials: descriptors(asked.excludeCredentials),
    };
    const made = await navigator.credentials.create({ publicKey });
    return {
      id: made.id,
      rawId: toText(made.rawId),
      type: made.type,
      clientExtensionResults: made.getClientExtensionResults(),
      response: {
        clientDataJSON: toText(made.response.clientDataJSON),
        attestationObject: toText(made.response.attestationObject),
      },
    };
  };

  const sign = async (asked) => {
    const publicKey = {
      ...asked,
      challenge: toBytes(asked.challenge),
      allowCredentials: descriptors(asked.allowCredentials),
    };
    const made = await navigator.credentials.get({ publicKey });
    const { clientDataJSON, authenticatorData, signature, userHandle } = made.response;
    return {
      id: made.id,
      rawId: toText(made.rawId),
      type: made.type,
      clientExtensionResults: made.getClientExtensionResults(),
      response: {
        clientDataJSON: toText(clientDataJSON),
        authenticatorData: toText(authenticatorData),
        signature: toText(signature),
        ...(userHandle ? { userHandle: toText(userHandle) } : {}),
      },
    };
  };

  for (const form of document.querySelectorAll("form[data-sign], form[data-create]")) {
    const button = form.querySelector("[data-touch]");
    const said = form.querySelector("[data-said]");
    if (!window.PublicKeyCredential) {
      said.textContent = "This browser knows no security keys.";
      continue;
    }
    button.hidden = false;
    button.addEventListener("click", async () => {
      said.textContent = "Touch your security key.";
      try {
        const { sign: toSign, create: toCreate } = form.dataset;
        const answer = toSign ? await sign(JSON.parse(toSign)) : await create(JSON.parse(toCreate));
        form.querySelector("input[name=answer], input[name=second_factor_key]").value = JSON.stringify(answer);
        form.submit();
      } catch (error) {
        said.textContent = error.name === "InvalidStateError" ? "This key is yours already." : "No key answered. Try again.";
      }
    });
  }
})();
