// Opens what a patient shares by a link. What is fetched is sealed; the key stands behind the # of the address, which
// no browser sends anywhere, and is used here alone. Everything shown is put in as text, never as markup.
(function () {
  "use strict";

  const PREFIX = "#shlink:/";
  const SECTIONS = {
    "48765-2": "allergies",
    "10160-0": "medicines",
    "11450-4": "conditions",
    "30954-2": "results",
    "8716-3": "vitals",
    sources: "sources",
  };
  // UCUM → as people write it; any other unit stays the hospital's.
  const UNITS = {
    Cel: "°C",
    "umol/L": "µmol/L",
    "10*3/uL": "10³/µL",
    "10*6/uL": "10⁶/µL",
    "10*9/L": "10⁹/L",
    "10*12/L": "10¹²/L",
    "{cells}/uL": "cells/µL",
  };
  const FLAGS = { N: "normal", L: "low", H: "high", LL: "critically_low", HH: "critically_high", A: "abnormal" };
  const ABSENT = "http://hl7.org/fhir/uv/ips/CodeSystem/absent-unknown-uv-ips";
  const HOSPITAL = "urn:patient-passport:hospital:";

  const form = document.getElementById("open");
  const shared = document.getElementById("shared");
  const words = shared.dataset;
  const codes = JSON.parse(document.getElementById("codes").textContent);
  // As the server writes days: "en" alone is American, the month first.
  const language = document.documentElement.lang;
  const spoken = language === "en" ? "en-GB" : language;

  function bytes(text) {
    const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(plain, function (char) {
      return char.charCodeAt(0);
    });
  }

  function say(text) {
    document.getElementById("problem-words").textContent = text;
    document.getElementById("problem").hidden = false;
  }

  function payload() {
    if (!window.location.hash.startsWith(PREFIX)) return null;
    try {
      const found = JSON.parse(new TextDecoder().decode(bytes(window.location.hash.slice(PREFIX.length))));
      return typeof found.key === "string" && bytes(found.key).length === 32 ? found : null;
    } catch {
      return null;
    }
  }

  async function unseal(jwe, key) {
    const [header, , iv, text, tag] = jwe.split(".");
    const sealed = new Uint8Array([...bytes(text), ...bytes(tag)]);
    const opened = await crypto.subtle.decrypt(
      { name: "AES-GCM", iv: bytes(iv), additionalData: new TextEncoder().encode(header), tagLength: 128 },
      await crypto.subtle.importKey("raw", bytes(key), "AES-GCM", false, ["decrypt"]),
      sealed,
    );
    return JSON.parse(new TextDecoder().decode(opened));
  }

  async function fetchSealed(link) {
    const asked = {
      recipient: document.getElementById("recipient").value,
      passcode: document.getElementById("passcode").value,
    };
    // Never the address in the link: whoever makes one up must not be told the passcode.
    const answer = await fetch(words.manifest, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Accept-Language": language },
      body: JSON.stringify(asked),
      credentials: "omit",
      cache: "no-store",
    });
    if (answer.status === 401) {
      say(`${words.wrong} ${(await answer.json()).remainingAttempts}`);
      return null;
    }
    if (answer.status === 404) say(words.closed);
    else if (answer.status === 429) say(words.often);
    else if (!answer.ok) say(words.failed);
    return answer.ok ? unseal((await answer.json()).files[0].embedded, link.key) : null;
  }

  // --- showing ------------------------------------------------------------------------------------------------------

  function add(parent, tag, text, className) {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (className) made.className = className;
    // Names and notes may be written from right to left.
    if (text) made.dir = "auto";
    parent.append(made);
    return made;
  }

  function day(text) {
    if (!text) return "";
    const [year, month, date] = text.slice(0, 10).split("-").map(Number);
    if (!year || !month || !date) return text.slice(0, 10);
    const options = { day: "numeric", month: "short", year: "numeric" };
    return new Date(year, month - 1, date).toLocaleDateString(spoken, options);
  }

  function said(concept) {
    return (concept && (concept.text || (concept.coding && concept.coding[0] && concept.coding[0].display))) || "";
  }

  function figure(quantity) {
    return `${quantity.comparator || ""}${quantity.value}`;
  }

  function amount(quantity) {
    return `${figure(quantity)} ${UNITS[quantity.code] || quantity.unit || ""}`.trim();
  }

  // Both numbers of a blood pressure; of anything else nothing.
  function numbers(resource) {
    const both = code(resource.code) === "85354-9" && resource.component;
    return both && both.length === 2 && both.every((one) => one.valueQuantity) ? both : null;
  }

  // The server's own pages read a computer's "True" and its dates in the same way.
  function value(resource) {
    const both = numbers(resource);
    if (both) return `${figure(both[0].valueQuantity)}/${amount(both[1].valueQuantity)}`;
    if (resource.valueQuantity) return amount(resource.valueQuantity);
    const written = resource.valueString || said(resource.valueCodeableConcept);
    if (/^(true|false)$/i.test(written)) return codes[written.toLowerCase()];
    return /^\d{4}-\d\d-\d\d$/.test(written) ? day(written) : written;
  }

  function ends(resource) {
    const known = resource.referenceRange && resource.referenceRange[0];
    if (!known) return "";
    const said = known.low && known.high ? codes.between : known.low ? codes.from : codes.upTo;
    return said
      .replace("%(low)s", known.low ? known.low.value : "")
      .replace("%(high)s", known.high ? known.high.value : "");
  }

  function range(resource) {
    const found = (numbers(resource) || [resource]).map(ends);
    return found.some(Boolean) ? codes.range.replace("%(range)s", found.map((one) => one || "–").join(" / ")) : "";
  }

  function flagOf(resource) {
    return code(resource.interpretation && resource.interpretation[0]);
  }

  // The class and the words. One word where it holds for both numbers; else which one it is said of.
  function flag(resource) {
    const found = (numbers(resource) || [resource]).map(flagOf);
    if (new Set(found).size === 1) return codes[found[0]] ? [FLAGS[found[0]], codes[found[0]]] : null;
    const said = found.map((one, place) => [one, place ? codes.lower : codes.upper]).filter(([one]) => codes[one]);
    const out = said.filter(([one]) => one !== "N");
    const told = out.length ? out : said;
    return told.length ? [FLAGS[told[0][0]], told.map(([one, name]) => `${name}: ${codes[one]}`).join(", ")] : null;
  }

  function code(concept) {
    const found = concept && concept.coding && concept.coding[0];
    return (found && found.code) || "";
  }

  // What a code of ours says in the reader's language; else nothing, or what came with it.
  function inWords(concept) {
    return codes[code(concept)] || said(concept);
  }

  function hospital(resource, names) {
    const system = resource.identifier && resource.identifier[0] && resource.identifier[0].system;
    if (!system || !system.startsWith(HOSPITAL)) return "";
    const code = system.slice(HOSPITAL.length).split(":")[0];
    return names.get(code) || "";
  }

  function isUnknown(resource) {
    const status = resource.status || code(resource.clinicalStatus) || "unknown";
    return /^(Condition|Medication)/.test(resource.resourceType) && status === "unknown";
  }

  function about(resource, names) {
    const facts = [
      range(resource),
      resource.resourceType === "Condition" ? inWords(resource.clinicalStatus) : "",
      inWords(resource.verificationStatus),
      resource.resourceType === "Observation" && resource.status !== "final" ? codes[resource.status] : "",
      ...(resource.reaction || []).flatMap((one) => [...one.manifestation.map(said), codes[one.severity] || one.severity]),
      ...(resource.dosageInstruction || []).map((one) => one.patientInstruction),
      ...(resource.note || []).map((one) => one.text),
      isUnknown(resource) ? words.unknown : "",
      hospital(resource, names),
      day(resource.effectiveDateTime || resource.recordedDate || resource.authoredOn || resource.onsetDateTime),
    ];
    return facts.filter(Boolean);
  }

  function line(list, resource, names) {
    const item = add(add(list, "li"), "div", "", "line");
    const isObservation = resource.resourceType === "Observation";
    const dose = (resource.dosageInstruction || []).map((one) => one.text).filter(Boolean).join("; ");
    const name = numbers(resource) ? codes["85354-9"] : said(resource.code || resource.medicationCodeableConcept);
    add(item, "div", name, "line-name");
    if (isObservation) {
      const beside = add(item, "div", "", "line-value");
      add(beside, "strong", value(resource));
      const told = flag(resource);
      if (told) add(beside, "span", told[1], `flag ${told[0]}`);
    }
    if (dose) add(item, "div", dose, "line-text");
    const facts = about(resource, names);
    if (!facts.length) return;
    const beneath = add(item, "div", "", "line-about");
    for (const fact of facts) add(beneath, "span", fact);
  }

  function isAbsent(resource) {
    const concept = resource.code || resource.medicationCodeableConcept;
    return Boolean(concept && (concept.coding || []).some((one) => one.system === ABSENT));
  }

  function showSection(parent, title, resources, names) {
    const card = add(parent, "section", "", "card");
    add(add(card, "div", "", "card-head"), "h2", title);
    const body = add(card, "div", "", "card-body");
    // What is known to hold stands first.
    const told = resources.filter((one) => one && !isAbsent(one)).sort((a, b) => isUnknown(a) - isUnknown(b));
    if (!told.length) {
      add(body, "p", words.nothing, "empty");
      return;
    }
    const list = add(body, "ul", "", "lines");
    for (const resource of told) line(list, resource, names);
  }

  // In words alone, as our own server wrote them: taken out of its table as text.
  function showSources(parent, title, section) {
    const rows = new DOMParser().parseFromString(section.text.div, "text/html").querySelectorAll("tbody tr");
    if (!rows.length) return;
    const card = add(parent, "section", "", "card");
    add(add(card, "div", "", "card-head"), "h2", title);
    const list = add(add(card, "div", "", "card-body"), "ul", "", "lines");
    for (const row of rows) {
      const [hospital, sentence] = Array.from(row.children, (cell) => cell.textContent);
      const item = add(add(list, "li"), "div", "", "line");
      if (hospital) add(item, "div", hospital, "line-name");
      add(item, "div", sentence, "line-about");
    }
  }

  function showPerson(person) {
    const name = person.name && person.name[0] ? person.name[0] : {};
    const full = [...(name.given || []), name.family].filter(Boolean).join(" ");
    const heading = add(shared, "h1", full || words.unnamed);
    heading.tabIndex = -1;
    const facts = [
      person.birthDate ? `${words.born} ${day(person.birthDate)}` : "",
      ...(person.identifier || []).map((one) => `${words.number} ${one.value}`),
    ];
    add(shared, "p", facts.filter(Boolean).join(" · "), "quiet");
    return heading;
  }

  function show(bundle) {
    const found = new Map(bundle.entry.map((one) => [one.fullUrl, one.resource]));
    const all = [...found.values()];
    const names = new Map();
    for (const one of all.filter((each) => each.resourceType === "Organization" && each.identifier)) {
      names.set(one.identifier[0].value, one.name);
    }
    shared.replaceChildren();
    const heading = showPerson(all.find((one) => one.resourceType === "Patient") || {});
    add(shared, "p", words.partial, "intro");
    const print = add(shared, "button", words.print, "button second no-print");
    print.type = "button";
    print.addEventListener("click", () => window.print());
    const cards = add(shared, "div", "", "shared-cards");
    const sections = (all.find((one) => one.resourceType === "Composition") || {}).section || [];
    for (const section of sections) {
      const key = SECTIONS[section.code.coding[0].code];
      if (key === "sources") {
        showSources(cards, words.sources, section);
        continue;
      }
      const resources = (section.entry || []).map((one) => found.get(one.reference));
      showSection(cards, key ? words[key] : section.title, resources, names);
    }
    document.getElementById("ask").hidden = true;
    shared.hidden = false;
    heading.focus();
    // The key does not stay in this browser's list of visited pages.
    window.history.replaceState(null, "", window.location.pathname);
  }

  function begin() {
    const link = payload();
    document.getElementById("problem").hidden = true;
    form.hidden = !link || !window.crypto.subtle;
    if (!window.crypto.subtle) return say(words.old);
    if (!link) return say(words.damaged);
    const isAsked = (link.flag || "").includes("P");
    document.getElementById("passcode-field").hidden = !isAsked;
    document.getElementById("passcode").required = isAsked;
    form.onsubmit = async function (event) {
      event.preventDefault();
      document.getElementById("problem").hidden = true;
      const button = form.querySelector("button");
      button.disabled = true;
      try {
        const bundle = await fetchSealed(link);
        if (bundle) show(bundle);
      } catch {
        say(words.failed);
      }
      button.disabled = false;
    };
  }

  document.getElementById("no-script").remove();
  window.addEventListener("hashchange", begin);
  // A page kept by the browser for the back button would still show the summary.
  window.addEventListener("pageshow", function (event) {
    if (event.persisted) window.location.reload();
  });
  begin();
})();
