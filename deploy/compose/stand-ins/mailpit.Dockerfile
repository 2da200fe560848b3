# Mailpit, built from its own source, where its image can't be pulled. The build context holds the program.
FROM quadrille-test/debian:bookworm
COPY mailpit /mailpit
EXPOSE 1025 8025
ENTRYPOINT ["/mailpit"]
