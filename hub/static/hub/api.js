// Shows the hub's OpenAPI document with Swagger UI, from this host alone.
const place = document.getElementById("api");
window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.document,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  persistAuthorization: false, // an API key never outlives the page
  validatorUrl: null, // no outside host
  queryConfigEnabled: false, // the address cannot point the page at another document
});
