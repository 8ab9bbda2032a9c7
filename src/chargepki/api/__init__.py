"""The REST API v1: JSON over HTTPS, thin over the services. `app.create_api` joins the routes; one file per noun."""
